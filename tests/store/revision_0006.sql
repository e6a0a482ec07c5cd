-- A database of revision 0006 (ICHScope 0.3), as sqlite3 dumps it: studies of several series, reviews of more than one of them,
-- a study identifier that two patients share. Synthetic; made with the key 11...11; never to be made anew.
BEGIN TRANSACTION;
CREATE TABLE adjustments (
	id INTEGER NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	model VARCHAR(64) NOT NULL, 
	version VARCHAR(64) NOT NULL, 
	name VARCHAR(32) NOT NULL, 
	value DOUBLE, 
	who TEXT NOT NULL, 
	why TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	CONSTRAINT pk_adjustments PRIMARY KEY (id)
);
INSERT INTO "adjustments" VALUES(1,'threshold','cranioscan','1.0','any',0.4,'Ann','test',1795995339166);
INSERT INTO "adjustments" VALUES(2,'alert','','','latency',60.0,'Bob','test',1795995339178);
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0006');
CREATE TABLE findings (
	study_id INTEGER NOT NULL, 
	place INTEGER NOT NULL, 
	level VARCHAR(16) NOT NULL, 
	code VARCHAR(32) NOT NULL, 
	text TEXT NOT NULL, 
	CONSTRAINT pk_findings PRIMARY KEY (study_id, place), 
	CONSTRAINT fk_findings_study_id FOREIGN KEY(study_id) REFERENCES studies (id)
);
INSERT INTO "findings" VALUES(1,0,'ok','head','Air, bone and soft tissue are as in a head CT.');
INSERT INTO "findings" VALUES(2,0,'ok','head','Air, bone and soft tissue are as in a head CT.');
INSERT INTO "findings" VALUES(3,0,'ok','head','Air, bone and soft tissue are as in a head CT.');
INSERT INTO "findings" VALUES(4,0,'ok','head','Air, bone and soft tissue are as in a head CT.');
INSERT INTO "findings" VALUES(5,0,'not analysable','contrast','A contrast agent was given.');
INSERT INTO "findings" VALUES(6,0,'ok','head','Air, bone and soft tissue are as in a head CT.');
INSERT INTO "findings" VALUES(7,0,'ok','head','Air, bone and soft tissue are as in a head CT.');
INSERT INTO "findings" VALUES(8,0,'ok','head','Air, bone and soft tissue are as in a head CT.');
CREATE TABLE job_items (
	id INTEGER NOT NULL, 
	job_id INTEGER NOT NULL, 
	locator TEXT NOT NULL, 
	locator_key VARCHAR(16) NOT NULL, 
	state VARCHAR(8) NOT NULL, 
	reason TEXT NOT NULL, 
	attempts INTEGER NOT NULL, 
	owner TEXT NOT NULL, 
	lease_until BIGINT, 
	study_id INTEGER, 
	started_at BIGINT, 
	finished_at BIGINT, 
	CONSTRAINT pk_job_items PRIMARY KEY (id), 
	CONSTRAINT fk_job_items_job_id FOREIGN KEY(job_id) REFERENCES jobs (id), 
	CONSTRAINT fk_job_items_study_id FOREIGN KEY(study_id) REFERENCES studies (id), 
	CONSTRAINT uq_job_items_job_id_locator_key UNIQUE (job_id, locator_key)
);
INSERT INTO "job_items" VALUES(1,1,'','c993912fb6beafdf','done','',1,'',NULL,3,1795995339227,1795995339258);
INSERT INTO "job_items" VALUES(2,1,'two','817309c026c42328','pending','',0,'',NULL,NULL,NULL,NULL);
CREATE TABLE jobs (
	id INTEGER NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	title TEXT NOT NULL, 
	options JSON NOT NULL, 
	created_at BIGINT NOT NULL, 
	listed BOOLEAN NOT NULL, 
	CONSTRAINT pk_jobs PRIMARY KEY (id)
);
INSERT INTO "jobs" VALUES(1,'folder','1 file or folder','{"inputs": "m"}',1795995339195,1);
CREATE TABLE results (
	id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	model VARCHAR(64) NOT NULL, 
	version VARCHAR(64) NOT NULL, 
	current BOOLEAN NOT NULL, 
	encoder_sha256 VARCHAR(64) NOT NULL, 
	head_sha256 VARCHAR(64) NOT NULL, 
	provider TEXT NOT NULL, 
	seconds DOUBLE NOT NULL, 
	operating_point TEXT NOT NULL, 
	threshold DOUBLE NOT NULL, 
	flagged BOOLEAN NOT NULL, 
	probability_any DOUBLE, 
	probability_epidural DOUBLE, 
	probability_intraparenchymal DOUBLE, 
	probability_intraventricular DOUBLE, 
	probability_subarachnoid DOUBLE, 
	probability_subdural DOUBLE, 
	thresholds JSON NOT NULL, 
	slice_labels JSON NOT NULL, 
	slice_probability BLOB NOT NULL, 
	created_at BIGINT NOT NULL, 
	CONSTRAINT pk_results PRIMARY KEY (id), 
	CONSTRAINT fk_results_study_id FOREIGN KEY(study_id) REFERENCES studies (id), 
	CONSTRAINT uq_results_study_id_model_version UNIQUE (study_id, model, version)
);
INSERT INTO "results" VALUES(1,1,'cranioscan','1.0',1,'','','CPU fp32',0.1,'sensitivity 0.95',0.5,0,0.3,0.0,0.0,0.0,0.0,0.0,'{"any": 0.5, "epidural": 0.5, "intraparenchymal": 0.5, "intraventricular": 0.5, "subarachnoid": 0.5, "subdural": 0.5}','["any", "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural"]',X'CDCC4C3D3333333E9A99993ECDCC4C3D3333333E9A99993ECDCC4C3D3333333E9A99993ECDCC4C3D3333333E9A99993ECDCC4C3D3333333E9A99993ECDCC4C3D3333333E9A99993E',1795995338786);
INSERT INTO "results" VALUES(2,2,'cranioscan','1.0',1,'','','CPU fp32',0.1,'sensitivity 0.95',0.5,1,0.9,0.0,0.0,0.0,0.0,0.0,'{"any": 0.5, "epidural": 0.5, "intraparenchymal": 0.5, "intraventricular": 0.5, "subarachnoid": 0.5, "subdural": 0.5}','["any", "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural"]',X'CDCC4C3D3333F33E6666663FCDCC4C3D3333F33E6666663FCDCC4C3D3333F33E6666663FCDCC4C3D3333F33E6666663FCDCC4C3D3333F33E6666663FCDCC4C3D3333F33E6666663F',1795995338875);
INSERT INTO "results" VALUES(3,3,'cranioscan','1.0',1,'','','CPU fp32',0.1,'sensitivity 0.95',0.5,0,0.1,0.0,0.0,0.0,0.0,0.0,'{"any": 0.5, "epidural": 0.5, "intraparenchymal": 0.5, "intraventricular": 0.5, "subarachnoid": 0.5, "subdural": 0.5}','["any", "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural"]',X'CDCC4C3D9A99993DCDCCCC3DCDCC4C3D9A99993DCDCCCC3DCDCC4C3D9A99993DCDCCCC3DCDCC4C3D9A99993DCDCCCC3DCDCC4C3D9A99993DCDCCCC3DCDCC4C3D9A99993DCDCCCC3D',1795995338910);
INSERT INTO "results" VALUES(4,4,'cranioscan','1.0',1,'','','CPU fp32',0.1,'sensitivity 0.95',0.5,1,0.9,0.0,0.0,0.0,0.0,0.0,'{"any": 0.5, "epidural": 0.5, "intraparenchymal": 0.5, "intraventricular": 0.5, "subarachnoid": 0.5, "subdural": 0.5}','["any", "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural"]',X'CDCC4C3D3333F33E6666663FCDCC4C3D3333F33E6666663FCDCC4C3D3333F33E6666663FCDCC4C3D3333F33E6666663FCDCC4C3D3333F33E6666663FCDCC4C3D3333F33E6666663F',1795995338953);
INSERT INTO "results" VALUES(5,6,'cranioscan','1.0',1,'','','CPU fp32',0.1,'sensitivity 0.95',0.5,1,0.9,0.0,0.0,0.0,0.0,0.0,'{"any": 0.5, "epidural": 0.5, "intraparenchymal": 0.5, "intraventricular": 0.5, "subarachnoid": 0.5, "subdural": 0.5}','["any", "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural"]',X'CDCC4C3D3333F33E6666663FCDCC4C3D3333F33E6666663FCDCC4C3D3333F33E6666663FCDCC4C3D3333F33E6666663FCDCC4C3D3333F33E6666663FCDCC4C3D3333F33E6666663F',1795995339026);
INSERT INTO "results" VALUES(6,7,'cranioscan','1.0',1,'','','CPU fp32',0.1,'sensitivity 0.95',0.5,0,0.2,0.0,0.0,0.0,0.0,0.0,'{"any": 0.5, "epidural": 0.5, "intraparenchymal": 0.5, "intraventricular": 0.5, "subarachnoid": 0.5, "subdural": 0.5}','["any", "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural"]',X'CDCC4C3D0000003ECDCC4C3ECDCC4C3D0000003ECDCC4C3ECDCC4C3D0000003ECDCC4C3ECDCC4C3D0000003ECDCC4C3ECDCC4C3D0000003ECDCC4C3ECDCC4C3D0000003ECDCC4C3E',1795995339058);
INSERT INTO "results" VALUES(7,8,'cranioscan','1.0',1,'','','CPU fp32',0.1,'sensitivity 0.95',0.5,0,0.2,0.0,0.0,0.0,0.0,0.0,'{"any": 0.5, "epidural": 0.5, "intraparenchymal": 0.5, "intraventricular": 0.5, "subarachnoid": 0.5, "subdural": 0.5}','["any", "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural"]',X'CDCC4C3D0000003ECDCC4C3ECDCC4C3D0000003ECDCC4C3ECDCC4C3D0000003ECDCC4C3ECDCC4C3D0000003ECDCC4C3ECDCC4C3D0000003ECDCC4C3ECDCC4C3D0000003ECDCC4C3E',1795995339074);
INSERT INTO "results" VALUES(8,8,'cerebroscan','1.0',1,'','','CPU fp32',0.1,'sensitivity 0.95',0.5,1,0.7,NULL,NULL,NULL,NULL,NULL,'{"any": 0.5}','["any"]',X'00000000CDCCCC3D3333333F',1795995339074);
CREATE TABLE reviews (
	id INTEGER NOT NULL, 
	study_id INTEGER NOT NULL, 
	reader TEXT NOT NULL, 
	created_at BIGINT NOT NULL, 
	agree BOOLEAN, 
	label_any BOOLEAN, 
	label_epidural BOOLEAN, 
	label_intraparenchymal BOOLEAN, 
	label_intraventricular BOOLEAN, 
	label_subarachnoid BOOLEAN, 
	label_subdural BOOLEAN, 
	marks JSON NOT NULL, 
	poor_quality BOOLEAN NOT NULL, 
	comment TEXT NOT NULL, 
	based_on INTEGER, 
	CONSTRAINT pk_reviews PRIMARY KEY (id), 
	CONSTRAINT fk_reviews_study_id FOREIGN KEY(study_id) REFERENCES studies (id)
);
INSERT INTO "reviews" VALUES(1,1,'Ann',1772366400000,1,0,0,0,0,0,0,'{"1": ["any"]}',0,'',NULL);
INSERT INTO "reviews" VALUES(2,2,'Bob',1772370000000,1,1,NULL,NULL,NULL,NULL,1,'{"2": ["subdural"]}',0,'seen on the thick slices',NULL);
INSERT INTO "reviews" VALUES(3,4,'Ann',1772370000000,0,0,0,0,0,0,0,'{}',1,'',NULL);
INSERT INTO "reviews" VALUES(4,8,'Bob',1772373600000,1,1,NULL,NULL,NULL,NULL,NULL,'{}',0,'',NULL);
CREATE TABLE settings (
	name VARCHAR(64) NOT NULL, 
	value TEXT NOT NULL, 
	CONSTRAINT pk_settings PRIMARY KEY (name)
);
INSERT INTO "settings" VALUES('key','ed6b99ae2758a55b');
CREATE TABLE sheets (
	id INTEGER NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	name TEXT NOT NULL, 
	sha256 VARCHAR(64) NOT NULL, 
	content VARCHAR(64) NOT NULL, 
	level VARCHAR(8) NOT NULL, 
	imported_at BIGINT NOT NULL, 
	rows INTEGER NOT NULL, 
	notes JSON NOT NULL, 
	study_keys BLOB NOT NULL, 
	slice_keys BLOB NOT NULL, 
	patient_keys BLOB NOT NULL, 
	CONSTRAINT pk_sheets PRIMARY KEY (id), 
	CONSTRAINT uq_sheets_content UNIQUE (content)
);
INSERT INTO "sheets" VALUES(1,'truth','readers.csv','0000000000000000000000000000000000000000000000000000000000000000','444b6486c0c79e5fe5abf75b4410752b27f811eb23ea3e171ff5347d8c12ab3b','study',1795995339186,2,'["a note"]',X'6D1BCEDA61488FA57AD0370E0643A0C7',X'00000000000000000000000000000000',X'00000000000000000000000000000000');
CREATE TABLE studies (
	id INTEGER NOT NULL, 
	content VARCHAR(64) NOT NULL, 
	study_key VARCHAR(16) NOT NULL, 
	series_key VARCHAR(16) NOT NULL, 
	patient_key VARCHAR(16), 
	arrived_at BIGINT NOT NULL, 
	analysed_at BIGINT NOT NULL, 
	status VARCHAR(16) NOT NULL, 
	synthetic BOOLEAN NOT NULL, 
	slices INTEGER NOT NULL, 
	age_years INTEGER, 
	sex VARCHAR(1) NOT NULL, 
	manufacturer TEXT NOT NULL, 
	scanner TEXT NOT NULL, 
	kvp DOUBLE, 
	slice_thickness_mm DOUBLE, 
	kernel TEXT NOT NULL, 
	models TEXT NOT NULL, 
	priority VARCHAR(16) NOT NULL, 
	score DOUBLE, 
	rank DOUBLE NOT NULL, 
	model_any BOOLEAN, 
	model_epidural BOOLEAN, 
	model_intraparenchymal BOOLEAN, 
	model_intraventricular BOOLEAN, 
	model_subarachnoid BOOLEAN, 
	model_subdural BOOLEAN, 
	reviews INTEGER NOT NULL, 
	first_review_at BIGINT, 
	reviewed_at BIGINT, 
	agreement VARCHAR(16) NOT NULL, 
	reader_any BOOLEAN, 
	reader_epidural BOOLEAN, 
	reader_intraparenchymal BOOLEAN, 
	reader_intraventricular BOOLEAN, 
	reader_subarachnoid BOOLEAN, 
	reader_subdural BOOLEAN, institution TEXT DEFAULT '' NOT NULL, first_result_at BIGINT, 
	CONSTRAINT pk_studies PRIMARY KEY (id), 
	CONSTRAINT uq_studies_content UNIQUE (content)
);
INSERT INTO "studies" VALUES(1,'7b46d80ca76d76041063bde4693c10191d8244b8dc608d0a2b86013f19b0c5e1','6d1bceda61488fa5','52f37dbe890172ff','e00fe036d5c250e7',1772348400000,1795995338786,'analysed',0,3,60,'F','Maker','Maker One',120.0,0.6,'H31s','|cranioscan|cranioscan 1.0|','negative',0.3,4.35,0,0,0,0,0,0,1,1772366400000,1772366400000,'agree',0,0,0,0,0,0,'site 22cb28',1795995338786);
INSERT INTO "studies" VALUES(2,'31f6b53f87b7168be366b96d8f3524cb75328ae42c4791baf12dc7d7a91f7f8d','6d1bceda61488fa5','8de87a175e8c2653','e00fe036d5c250e7',1772348760000,1795995338875,'analysed',0,3,60,'F','Maker','Maker One',120.0,5.0,'H31s','|cranioscan|cranioscan 1.0|','likely',0.9,4.99999999999999888977e-02,1,0,0,0,0,0,1,1772370000000,1772370000000,'disagree',1,NULL,NULL,NULL,NULL,1,'site 22cb28',1795995338875);
INSERT INTO "studies" VALUES(3,'e0e6785a06ffb9b696c92a4c69d8e3b18ef75bb069e30b21dc8c5c35290f32ac','6d1bceda61488fa5','f2a9e32a79b447e3','e00fe036d5c250e7',1772349120000,1795995338910,'analysed',0,3,60,'F','Maker','Maker One',120.0,5.0,'H70h','|cranioscan|cranioscan 1.0|','negative',0.1,4.45,0,0,0,0,0,0,0,NULL,NULL,'unreviewed',NULL,NULL,NULL,NULL,NULL,NULL,'site 22cb28',1795995338910);
INSERT INTO "studies" VALUES(4,'df7e70e5021544f4834bbee64a9e3789febc4be81470df629cad6ddb03320a5c','7ad0370e0643a0c7','a38bb8da65ea07d7','bff3a566cd7abbf1',1772352000000,1795995338953,'analysed',0,3,60,'F','Maker','Maker One',120.0,5.0,'H31s','|cranioscan|cranioscan 1.0|','likely',0.9,4.99999999999999888977e-02,1,0,0,0,0,0,1,1772370000000,1772370000000,'disagree',0,0,0,0,0,0,'site 22cb28',1795995338953);
INSERT INTO "studies" VALUES(5,'6b23c0d5f35d1b11f9b683f0b0a617355deb11277d91ae091d399c655b87940d','22be4597345e2bb2','55f909c7ef662ad2','919e558aeb285d41',1772355600000,1795995338992,'not analysed',0,3,60,'F','Maker','Maker One',120.0,5.0,'H31s','|','not analysed',NULL,3.5,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,'unreviewed',NULL,NULL,NULL,NULL,NULL,NULL,'site 22cb28',1795995338992);
INSERT INTO "studies" VALUES(6,'c3c6f1e1575aeb14dede3606e2f3e407599033eecbcfca43b7127d0cd5a02a9e','0795bb04095b6f60','1b9e0204ef6e316a','6130418cfeb53794',1772359200000,1795995339026,'analysed',0,3,60,'F','Maker','Maker One',120.0,5.0,'H31s','|cranioscan|cranioscan 1.0|','likely',0.9,4.99999999999999888977e-02,1,0,0,0,0,0,0,NULL,NULL,'unreviewed',NULL,NULL,NULL,NULL,NULL,NULL,'site 22cb28',1795995339026);
INSERT INTO "studies" VALUES(7,'2c5d14728dce9a402c68acb7bffdccde7405af517bbfd8f3fbaa8a5fd3b9bae2','0795bb04095b6f60','05c12dc0fb2e7c61','ba1aa2bab22bf377',1772361000000,1795995339058,'analysed',0,3,60,'F','Maker','Maker One',120.0,5.0,'H31s','|cranioscan|cranioscan 1.0|','negative',0.2,4.4,0,0,0,0,0,0,0,NULL,NULL,'unreviewed',NULL,NULL,NULL,NULL,NULL,NULL,'site 22cb28',1795995339058);
INSERT INTO "studies" VALUES(8,'a9f51566bd6705f7ea6ad54bb9deb449f795582d6529a0e22207b8981233ec58','d9ec1b1ea8a74d41','e9c250e77d66432e','bfd868853f072ec7',1772362800000,1795995339074,'analysed',0,3,60,'F','Maker','Maker One',120.0,5.0,'H31s','|cerebroscan|cerebroscan 1.0|cranioscan|cranioscan 1.0|','disagree',0.7,2.15,1,0,0,0,0,0,1,1772373600000,1772373600000,'agree',1,NULL,NULL,NULL,NULL,NULL,'site 22cb28',1795995339074);
CREATE TABLE voices (
	id INTEGER NOT NULL, 
	sheet_id INTEGER NOT NULL, 
	name TEXT NOT NULL, 
	version TEXT NOT NULL, 
	studies INTEGER NOT NULL, 
	thresholds JSON NOT NULL, 
	labels JSON NOT NULL, 
	places BLOB NOT NULL, 
	said BLOB NOT NULL, 
	CONSTRAINT pk_voices PRIMARY KEY (id), 
	CONSTRAINT fk_voices_sheet_id FOREIGN KEY(sheet_id) REFERENCES sheets (id)
);
INSERT INTO "voices" VALUES(1,1,'X','',2,'{}','["any"]',X'78016360606060046200000C0002',X'7801636000810FF6600A4800000BA70130');
CREATE TABLE volumes (
	study_id INTEGER NOT NULL, 
	path TEXT, 
	kind VARCHAR(8) NOT NULL, 
	oriented BOOLEAN NOT NULL, 
	spacing JSON, 
	positions BLOB NOT NULL, 
	slice_keys JSON NOT NULL, 
	box JSON, 
	CONSTRAINT pk_volumes PRIMARY KEY (study_id), 
	CONSTRAINT fk_volumes_study_id FOREIGN KEY(study_id) REFERENCES studies (id)
);
INSERT INTO "volumes" VALUES(1,NULL,'ct',1,'[5.0, 0.5, 0.4]',X'000000000000000000000000000014400000000000002440','["3e938b8d7d226ba6", "64422d2e8868a491", "de4cb57588aa4dca"]','null');
INSERT INTO "volumes" VALUES(2,NULL,'ct',1,'[5.0, 0.5, 0.4]',X'000000000000000000000000000014400000000000002440','["3e938b8d7d226ba6", "64422d2e8868a491", "de4cb57588aa4dca"]','null');
INSERT INTO "volumes" VALUES(3,NULL,'ct',1,'[5.0, 0.5, 0.4]',X'000000000000000000000000000014400000000000002440','["3e938b8d7d226ba6", "64422d2e8868a491", "de4cb57588aa4dca"]','null');
INSERT INTO "volumes" VALUES(4,NULL,'ct',1,'[5.0, 0.5, 0.4]',X'000000000000000000000000000014400000000000002440','["3e938b8d7d226ba6", "64422d2e8868a491", "de4cb57588aa4dca"]','null');
INSERT INTO "volumes" VALUES(5,NULL,'ct',1,'[5.0, 0.5, 0.4]',X'000000000000000000000000000014400000000000002440','["3e938b8d7d226ba6", "64422d2e8868a491", "de4cb57588aa4dca"]','null');
INSERT INTO "volumes" VALUES(6,NULL,'ct',1,'[5.0, 0.5, 0.4]',X'000000000000000000000000000014400000000000002440','["3e938b8d7d226ba6", "64422d2e8868a491", "de4cb57588aa4dca"]','null');
INSERT INTO "volumes" VALUES(7,NULL,'ct',1,'[5.0, 0.5, 0.4]',X'000000000000000000000000000014400000000000002440','["3e938b8d7d226ba6", "64422d2e8868a491", "de4cb57588aa4dca"]','null');
INSERT INTO "volumes" VALUES(8,NULL,'ct',1,'[5.0, 0.5, 0.4]',X'000000000000000000000000000014400000000000002440','["3e938b8d7d226ba6", "64422d2e8868a491", "de4cb57588aa4dca"]','null');
CREATE INDEX ix_studies_arrived_at_id ON studies (arrived_at, id);
CREATE INDEX ix_studies_patient_key ON studies (patient_key);
CREATE INDEX ix_studies_rank_id ON studies (rank, id);
CREATE INDEX ix_studies_scanner ON studies (scanner);
CREATE INDEX ix_studies_score_id ON studies (score, id);
CREATE INDEX ix_studies_status_priority_agreement ON studies (status, priority, agreement);
CREATE INDEX ix_studies_study_key ON studies (study_key);
CREATE INDEX ix_findings_level_code_study_id ON findings (level, code, study_id);
CREATE INDEX ix_job_items_job_id_state_attempts_id ON job_items (job_id, state, attempts, id);
CREATE INDEX ix_job_items_job_id_state_started_at_finished_at ON job_items (job_id, state, started_at, finished_at);
CREATE INDEX ix_job_items_locator_key ON job_items (locator_key);
CREATE INDEX ix_job_items_study_id ON job_items (study_id);
CREATE INDEX ix_results_model_version_current_study_id_probability_any ON results (model, version, current, study_id, probability_any);
CREATE INDEX ix_reviews_reader_study_id ON reviews (reader, study_id);
CREATE INDEX ix_reviews_study_id ON reviews (study_id);
CREATE INDEX ix_voices_sheet_id ON voices (sheet_id);
CREATE INDEX ix_studies_institution ON studies (institution);
COMMIT;

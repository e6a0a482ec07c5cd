-- A database of revision 0001 with rows in every table, as sqlite3 dumps it. Synthetic; made with the key 11...11.
BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
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
INSERT INTO "findings" VALUES(3,0,'not analysable','unreadable','file 1: holds text');
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
INSERT INTO "job_items" VALUES(1,1,'','c993912fb6beafdf','done','',1,'',NULL,1,1795333964171,1795333964187);
INSERT INTO "job_items" VALUES(2,1,'two','817309c026c42328','pending','',0,'',NULL,NULL,NULL,NULL);
INSERT INTO "job_items" VALUES(3,1,'three','8d266bd5c2c29225','pending','',0,'',NULL,NULL,NULL,NULL);
CREATE TABLE jobs (
	id INTEGER NOT NULL, 
	kind VARCHAR(16) NOT NULL, 
	title TEXT NOT NULL, 
	options JSON NOT NULL, 
	created_at BIGINT NOT NULL, 
	listed BOOLEAN NOT NULL, 
	CONSTRAINT pk_jobs PRIMARY KEY (id)
);
INSERT INTO "jobs" VALUES(1,'folder','night','{"pictures": true}',1795333964150,0);
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
INSERT INTO "results" VALUES(1,1,'cranioscan','1.0',0,'','','CPU fp32',0.1,'sensitivity 0.95',0.5,1,0.875,0.0,0.0,0.0,0.0,0.75,'{"any": 0.5, "epidural": 0.5, "intraparenchymal": 0.5, "intraventricular": 0.5, "subarachnoid": 0.5, "subdural": 0.5}','["any", "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural"]',X'000000000000603F000000000000603F000000000000603F000000000000603F000000000000603F000000000000603F',1795333964187);
INSERT INTO "results" VALUES(2,1,'cerebroscan','1.0',1,'','','CPU fp32',0.1,'sensitivity 0.95',0.5,1,0.875,NULL,NULL,NULL,NULL,NULL,'{"any": 0.5}','["any"]',X'000000000000603F',1795333964187);
INSERT INTO "results" VALUES(3,1,'cranioscan','2.0',1,'','','CPU fp32',0.1,'sensitivity 0.95',0.5,1,0.875,0.0,0.0,0.0,0.0,0.75,'{"any": 0.5, "epidural": 0.5, "intraparenchymal": 0.5, "intraventricular": 0.5, "subarachnoid": 0.5, "subdural": 0.5}','["any", "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural"]',X'000000000000603F000000000000603F000000000000603F000000000000603F000000000000603F000000000000603F',1795333964268);
INSERT INTO "results" VALUES(4,2,'cranioscan','1.0',1,'','','CPU fp32',0.1,'sensitivity 0.95',0.5,0,0.1,0.0,0.0,0.0,0.0,0.0,'{"any": 0.5, "epidural": 0.5, "intraparenchymal": 0.5, "intraventricular": 0.5, "subarachnoid": 0.5, "subdural": 0.5}','["any", "epidural", "intraparenchymal", "intraventricular", "subarachnoid", "subdural"]',X'00000000CDCCCC3D00000000CDCCCC3D00000000CDCCCC3D00000000CDCCCC3D00000000CDCCCC3D00000000CDCCCC3D',1795333964290);
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
INSERT INTO "reviews" VALUES(1,1,'Ann',1795333964348,1,1,NULL,NULL,NULL,NULL,NULL,'{"1": ["subdural"]}',0,'',NULL);
INSERT INTO "reviews" VALUES(2,1,'Bob',1795333964363,NULL,0,NULL,NULL,NULL,NULL,NULL,'{}',0,'not sure',NULL);
CREATE TABLE settings (
	name VARCHAR(64) NOT NULL, 
	value TEXT NOT NULL, 
	CONSTRAINT pk_settings PRIMARY KEY (name)
);
INSERT INTO "settings" VALUES('key','ed6b99ae2758a55b');
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
	reader_subdural BOOLEAN, 
	CONSTRAINT pk_studies PRIMARY KEY (id), 
	CONSTRAINT uq_studies_content UNIQUE (content)
);
INSERT INTO "studies" VALUES(1,'ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb','e24f7ed25338083b','cc34e747df238659','e00fe036d5c250e7',1772348400000,1795333964268,'analysed',0,2,NULL,'','','',NULL,NULL,'','|cerebroscan|cerebroscan 1.0|cranioscan|cranioscan 2.0|','likely',0.875,0.0625,1,0,0,0,0,1,2,1795333964348,1795333964363,'conflict',0,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "studies" VALUES(2,'3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d','672de84997bddaa8','0a0713b988a79182',NULL,1772352000000,1795333964290,'analysed',0,2,NULL,'','','',NULL,NULL,'','|cranioscan|cranioscan 1.0|','negative',0.1,4.45,0,0,0,0,0,0,0,NULL,NULL,'unreviewed',NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "studies" VALUES(3,'2e7d2c03a9507ae265ecf5b5356885a53393a2029d241394997265a1a25aefc6','f2465735e17e5cf3','1bd8e4ced4ef8518',NULL,1772355600000,1795333964310,'not analysed',0,0,NULL,'','','',NULL,NULL,'','|','not analysed',NULL,3.5,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,NULL,'unreviewed',NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE truth (
	id INTEGER NOT NULL, 
	study_key VARCHAR(16) NOT NULL, 
	slice_key VARCHAR(16) NOT NULL, 
	reader TEXT NOT NULL, 
	source VARCHAR(64) NOT NULL, 
	imported_at BIGINT NOT NULL, 
	label_any BOOLEAN, 
	label_epidural BOOLEAN, 
	label_intraparenchymal BOOLEAN, 
	label_intraventricular BOOLEAN, 
	label_subarachnoid BOOLEAN, 
	label_subdural BOOLEAN, 
	CONSTRAINT pk_truth PRIMARY KEY (id), 
	CONSTRAINT uq_truth_study_key_slice_key_reader_source UNIQUE (study_key, slice_key, reader, source)
);
INSERT INTO "truth" VALUES(1,'e24f7ed25338083b','','x','0000000000000000000000000000000000000000000000000000000000000000',1772348400000,1,NULL,NULL,NULL,NULL,NULL);
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
INSERT INTO "volumes" VALUES(1,NULL,'ct',1,'[5.0, 0.5, 0.4]',X'00000000000000000000000000001440','["3e938b8d7d226ba6", "64422d2e8868a491"]','null');
INSERT INTO "volumes" VALUES(2,NULL,'ct',1,'[5.0, 0.5, 0.4]',X'00000000000000000000000000001440','["3e938b8d7d226ba6", "64422d2e8868a491"]','null');
INSERT INTO "volumes" VALUES(3,NULL,'',0,'null',X'','[]','null');
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
COMMIT;

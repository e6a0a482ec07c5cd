// What dcmjs finds in DICOM files, as JSON: node read_with_dcmjs.cjs FILE...
// Content items are [relationship, type, name, value, items below].
const fs = require("fs");
const crypto = require("crypto");
const dcmjs = require("dcmjs");

const first = (value) => (Array.isArray(value) ? value[0] : value);
const all = (value) => (value === undefined ? [] : [].concat(value));

function value(item) {
  switch (item.ValueType) {
    case "NUM": return Number(first(first(item.MeasuredValueSequence).NumericValue));
    case "CODE": return first(item.ConceptCodeSequence).CodeMeaning;
    case "TEXT": return item.TextValue;
    case "UIDREF": return item.UID;
    case "IMAGE": return first(item.ReferencedSOPSequence).ReferencedSOPInstanceUID;
    default: return null;
  }
}

function content(parent) {
  return all(parent.ContentSequence).map((item) => [
    item.RelationshipType, item.ValueType, item.ConceptNameCodeSequence ? first(item.ConceptNameCodeSequence).CodeMeaning : null,
    value(item), content(item),
  ]);
}

function read(path) {
  const bytes = fs.readFileSync(path);
  const file = dcmjs.data.DicomMessage.readFile(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  const found = dcmjs.data.DicomMetaDictionary.naturalizeDataset(file.dict);
  const pixels = found.FloatPixelData ?? found.PixelData;
  return {
    kind: found.SOPClassUID, instance: found.SOPInstanceUID, study: found.StudyInstanceUID, frames: found.NumberOfFrames ?? 1,
    pixels: pixels === undefined ? null : crypto.createHash("sha256").update(Buffer.from(first(pixels))).digest("hex"),
    content: content(found),
  };
}

dcmjs.log.setLevel("error");
console.log(JSON.stringify(process.argv.slice(2).map(read)));

// A study in the browser: unpacking it, windowing it, and drawing slices and evidence.

const PRESETS = [
  { name: "Brain", level: 40, width: 80 },
  { name: "Subdural", level: 80, width: 200 },
  { name: "Stroke", level: 40, width: 40 },
  { name: "Bone", level: 600, width: 2800 },
  { name: "Soft tissue", level: 40, width: 380 },
];

// The packet is described in __init__.py. The copy puts the int16 voxels at an even address.
function unpack(bytes) {
  const length = new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  const [slices, rows, columns] = header.shape;
  const body = bytes.slice(4 + length).buffer;
  let offset = 2 * slices * rows * columns;
  const voxels = new Int16Array(body, 0, slices * rows * columns);
  const evidence = header.models.map(({ grid: [height, width] }) => {
    const size = slices * height * width;
    offset += size;
    return { height, width, values: new Uint8Array(body, offset - size, size) };
  });
  return { ...header, slices, rows, columns, voxels, evidence };
}

// One RGBA word for each int16 value; the linear window of DICOM PS3.3 C.11.2.1.2.1.
function windowTable(level, width, table = new Uint32Array(65536)) {
  const scale = 255 / Math.max(width - 1, 1);
  for (let i = 0; i < 65536; i++) {
    const value = (i - 32768 - (level - 0.5)) * scale + 127.5;
    const grey = value <= 0 ? 0 : value >= 255 ? 255 : Math.round(value);
    table[i] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
  }
  return table;
}

function sheet(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const image = context.createImageData(width, height);
  return { canvas, context, image, words: new Uint32Array(image.data.buffer) };
}

function paintSlice(target, volume, index, table) {
  const size = volume.rows * volume.columns;
  const { words } = target;
  const { voxels } = volume;
  for (let i = 0, at = index * size; i < size; i++, at++) words[i] = table[voxels[at] + 32768];
  target.context.putImageData(target.image, 0, 0);
}

// From clear orange to opaque yellow: distinct from grey tissue, and not the red that means "flagged".
function paintEvidence(target, { values, height, width }, index) {
  const size = height * width;
  for (let i = 0; i < size; i++) {
    const value = values[index * size + i];
    const green = 110 + Math.round(value * 0.5);
    target.words[i] = (value << 24) | (20 << 16) | (green << 8) | 255;
  }
  target.context.putImageData(target.image, 0, 0);
}

// Height of a pixel over its width on the screen.
function pixelAspect(volume) {
  return volume.spacing ? volume.spacing[0] / volume.spacing[1] : 1;
}

// What the models saw, in pixels of the volume as it was sent: [left, top, width, height]; may reach beyond it.
function headBox({ box, step, columns, rows }) {
  return box ? box.map((length) => length / step) : [0, 0, columns, rows];
}

function fitted(volume, width, height) {
  const aspect = pixelAspect(volume);
  const scale = Math.min(width / volume.columns, height / (volume.rows * aspect));
  return { x: scale, y: scale * aspect };
}

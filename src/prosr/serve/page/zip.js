// A zip archive without compression; pictures are compressed already. Format: APPNOTE 6.3.

const table = Uint32Array.from({ length: 256 }, (_, value) => {
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

function crc32(data) {
  let crc = -1;
  for (const byte of data) crc = table[(crc ^ byte) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

// Fields of [size in bytes, value], little-endian.
function fields(...list) {
  const view = new DataView(new ArrayBuffer(list.reduce((sum, [size]) => sum + size, 0)));
  let place = 0;
  for (const [size, value] of list) {
    if (size === 2) view.setUint16(place, value, true);
    else view.setUint32(place, value, true);
    place += size;
  }
  return view.buffer;
}

const UTF8 = 0x0800;
const JANUARY_1980 = 0x21;

// The format's numbers have 32 bits.
export const ZIP_BYTES = 4e9;

// `files` yields {name, blob}; all together have at most ZIP_BYTES.
export async function zip(files) {
  const parts = [];
  const entries = [];
  let offset = 0;
  for await (const { name, blob } of files) {
    const label = new TextEncoder().encode(name);
    const crc = crc32(new Uint8Array(await blob.arrayBuffer()));
    const about = [[2, UTF8], [2, 0], [2, 0], [2, JANUARY_1980], [4, crc], [4, blob.size], [4, blob.size], [2, label.length]];
    parts.push(fields([4, 0x04034b50], [2, 20], ...about, [2, 0]), label, blob);
    entries.push(fields([4, 0x02014b50], [2, 20], [2, 20], ...about, [2, 0], [2, 0], [2, 0], [2, 0], [4, 0], [4, offset]), label);
    offset += 30 + label.length + blob.size;
  }
  const count = entries.length / 2;
  const length = new Blob(entries).size;
  const end = fields([4, 0x06054b50], [2, 0], [2, 0], [2, count], [2, count], [4, length], [4, offset], [2, 0]);
  return new Blob([...parts, ...entries, end], { type: "application/zip" });
}

// The products of large maps by WebAssembly's SIMD, eight times as fast as the loop in arithmetic.js. A blob is copied
// into a memory of its own, which is freed with it; where the browser cannot do that, nothing is lost but time.

// products.wat, assembled.
const CODE = [
  "AGFzbQEAAAABCQFgBX9/f39/AAIPAQNlbnYGbWVtb3J5AgABAwIBAAcMAQhwcm9kdWN0cwAACsoBAccBAwJ/AXsBfSAEQXBxIQUCQANAIANF",
  "DQH9DAAAAAAAAAAAAAAAAAAAAAAhB0EAIQYCQANAIAYgBU8NASAHIAAgBmr9AAIAIAEgBmr9AAIA/eYB/eQBIQcgBkEQaiEGDAALCyAH/R8A",
  "IAf9HwGSIAf9HwIgB/0fA5KSIQgCQANAIAYgBE8NASAIIAAgBmoqAgAgASAGaioCAJSSIQggBkEEaiEGDAALCyACIAg4AgAgAkEEaiECIAEg",
  "BGohASADQQFrIQMMAAsLCw==",
].join("");
const PAGE = 65536; // bytes that a memory grows by
const SCRATCH = 1024; // the longest vector, in floats

const memories = new WeakMap(); // of a memory's buffer: its product, and where there is room
let assembled; // the module; null where there is no WebAssembly with SIMD

function moduleOrNull() {
  try {
    return new WebAssembly.Module(Uint8Array.from(atob(CODE), (letter) => letter.charCodeAt(0)));
  } catch {
    return null;
  }
}

/** The buffer's content in a memory with room for so many floats more; the buffer itself where that cannot be had. */
export function swiftly(buffer, rows, floats) {
  assembled ??= moduleOrNull();
  if (!assembled) return buffer;
  const start = Math.ceil(buffer.byteLength / 16) * 16, free = start + 4 * (SCRATCH + rows);
  try {
    const pages = Math.ceil((free + 4 * floats) / PAGE), memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const { exports } = new WebAssembly.Instance(assembled, { env: { memory } });
    new Uint8Array(memory.buffer).set(new Uint8Array(buffer));
    const vector = new Float32Array(memory.buffer, start, SCRATCH);
    const result = new Float32Array(memory.buffer, start + 4 * SCRATCH, rows);
    memories.set(memory.buffer, { run: exports.products, vector, result, free });
    return memory.buffer;
  } catch {
    return buffer; // too little address space
  }
}

/** So many floats in the same memory as the factors, if there is one with room, else anywhere. */
export function floatsBeside(buffer, count) {
  const memory = memories.get(buffer);
  if (!memory || memory.free + 4 * count > buffer.byteLength) return new Float32Array(count);
  const found = new Float32Array(buffer, memory.free, count);
  memory.free += 4 * count;
  return found;
}

/** Writes the products into `out`, and is true; or false if the factors lie in no such memory. */
export function swiftProducts(out, vector, start, matrix, first, rows, dim) {
  const memory = memories.get(matrix.buffer);
  if (!memory || rows > memory.result.length || dim > SCRATCH) return false;
  let from = vector.byteOffset + 4 * start, to = out.byteOffset;
  if (vector.buffer !== matrix.buffer) {
    for (let d = 0; d < dim; d++) memory.vector[d] = vector[start + d];
    from = memory.vector.byteOffset;
  }
  const outside = out.buffer !== matrix.buffer;
  if (outside) to = memory.result.byteOffset;
  memory.run(from, matrix.byteOffset + 4 * first, to, rows, 4 * dim);
  if (outside) out.set(memory.result.subarray(0, rows));
  return true;
}

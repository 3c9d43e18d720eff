// The factors behind a URL: fetched once, and kept while there is room.
import { unpack } from "./maps.js";

const CACHE_BYTES = 256e6;
const cache = new Map(); // by URL, the ones unused for longest first; it outlives a switch of pages

/** The server no longer has what a URL stood for. */
export class Gone extends Error {}

/** A promise of the factors. */
export function factorsOf(url) {
  const found = cache.get(url) ?? fetchFactors(url);
  cache.delete(url);
  cache.set(url, found);
  return found.promise;
}

function fetchFactors(url) {
  const entry = { bytes: 0 };
  entry.promise = fetch(url).then(async (response) => {
    if (response.status === 404) throw new Gone(url);
    if (!response.ok) throw new Error(`${url}: ${response.status}`);
    const buffer = await response.arrayBuffer(), factors = unpack(buffer);
    entry.bytes = buffer.byteLength;
    let total = 0;
    for (const { bytes } of cache.values()) total += bytes;
    for (const [oldest, { bytes }] of cache) {
      if (total <= CACHE_BYTES || oldest === url) break;
      cache.delete(oldest);
      total -= bytes;
    }
    return factors;
  });
  entry.promise.catch(() => cache.delete(url)); // a failure is not kept: the next run may bring the blob back
  return entry;
}

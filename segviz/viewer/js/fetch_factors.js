// Fetches the factors of maps, and caches them by URL.
import { unpack } from "./wire.js";

const CACHE_BYTES = 256e6;
const cache = new Map(); // by URL, least recently used first; survives a change of page

/** The server no longer has the blob of a URL. */
export class MissingBlobError extends Error {}

let readBlob = fetchBlob;

/** Lets maps come from elsewhere than the server: `read(url)` gives a promise of the bytes. */
export function readBlobsWith(read) {
  readBlob = read;
}

async function fetchBlob(url) {
  const response = await fetch(url);
  if (response.status === 404) throw new MissingBlobError(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response.arrayBuffer();
}

/** The factors as a promise, from the cache or from the server. */
export function fetchFactors(url) {
  const entry = cache.get(url) ?? startFetch(url);
  cache.delete(url);
  cache.set(url, entry);
  return entry.promise;
}

function startFetch(url) {
  const entry = { bytes: 0 };
  entry.promise = readBlob(url).then((buffer) => {
    const factors = unpack(buffer);
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
  entry.promise.catch(() => cache.delete(url)); // the next run may bring the blob back
  return entry;
}

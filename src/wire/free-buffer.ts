/**
 * Gives the memory of a buffer back now, not at some later garbage collection: what was collected of
 * a long message is worth hundreds of megabytes after an attack, and a process that has nothing to do
 * collects no garbage. Only for who knows that nobody else looks into it: it has no bytes afterwards.
 * Pooled buffers, and runtimes that can't, are left alone.
 */
export function freeBuffer(bytes: Buffer): void {
  const { buffer } = bytes
  if (buffer.byteLength !== bytes.length || bytes.length < smallest) return
  if (buffer instanceof ArrayBuffer) buffer.transfer?.(0)
}

/** Smaller ones aren't worth the call; they may come of Node's pool, too. */
const smallest = 16 * 1024

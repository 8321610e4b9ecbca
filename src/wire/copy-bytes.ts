/** Below this a loop is faster than the runtime's copy, bytes. */
const shortBytes = 24

/** Copies `source[start, end)` to `target[at, …)`, which has room for it. */
export function copyBytes(
  source: Uint8Array,
  start: number,
  end: number,
  target: Uint8Array,
  at: number,
): void {
  const size = end - start
  if (size < shortBytes) {
    for (let i = 0; i < size; i++) target[at + i] = source[start + i] as number
  } else if (source instanceof Buffer) source.copy(target, at, start, end)
  else target.set(source.subarray(start, end), at)
}

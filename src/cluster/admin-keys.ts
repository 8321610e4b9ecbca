import { randomBytes, randomInt } from 'node:crypto'

/** By what key an administrator's CancelRequest gives up what his command waits for. */
export class AdminKeys {
  readonly #entries = new Map<number, { readonly key: Buffer; readonly cancel: () => void }>()

  /** @param minor of the protocol: 3.0 has 4-byte keys */
  add(minor: number, cancel: () => void): { readonly processId: number; readonly key: Buffer } {
    let processId = 0
    do processId = randomInt(1, 0x7fffffff)
    while (this.#entries.has(processId))
    const key = randomBytes(minor >= 2 ? 32 : 4)
    this.#entries.set(processId, { key, cancel })
    return { processId, key }
  }

  remove(processId: number): void {
    this.#entries.delete(processId)
  }

  cancel(processId: number, key: Buffer): void {
    const entry = this.#entries.get(processId)
    if (entry?.key.equals(key)) entry.cancel()
  }
}

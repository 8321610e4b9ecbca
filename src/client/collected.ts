/** A statement up to this size is collected whatever others send, bytes. */
const alwaysBytes = 1024 * 1024

/** What all longer ones together may hold, bytes. */
const maxBytes = 256 * 1024 * 1024

/**
 * Long statements that are being collected, or wait to be answered, in the whole process. Each may be
 * as long as `limits.maxBufferedRequest`, and every client may send one: when all together are too
 * much, the next one is passed on unread, as one that is longer than that.
 */
class Collected {
  bytes = 0

  /** Makes room for one; false: there is none. Who got it gives it back by `release`. */
  claim(size: number): boolean {
    if (this.bytes + size > maxBytes) return false
    this.bytes += size
    return true
  }

  release(size: number): void {
    this.bytes -= size
  }

  isCounted(size: number): boolean {
    return size > alwaysBytes
  }
}

export const collected = new Collected()

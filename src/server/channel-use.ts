/**
 * What LISTEN and NOTIFY have left on a server connection, whose process id its clients' notifications
 * bear. Fences are numbers of `NotificationHub.fence`, of which 0 is always past.
 */
export class ChannelUse {
  #listens = false
  #notifies = false
  #writer: number | null = null
  #writerFence = 0
  #wroteFence = 0

  /** Its session may listen to channels that its clients hear by other ways. */
  get listens(): boolean {
    return this.#listens
  }

  /** Its present user has run NOTIFY, which others hear. */
  get notifies(): boolean {
    return this.#notifies
  }

  /** Process id, as told at log-in, of the client that wrote here last; null: none that counts. */
  get writer(): number | null {
    return this.#writer
  }

  /** When all that others have notified here has been heard. */
  get writerFence(): number {
    return this.#writerFence
  }

  /** The same of what the writer has notified himself, once the connection was given back. */
  get wroteFence(): number {
    return this.#wroteFence
  }

  listen(): void {
    this.#listens = true
  }

  /** UNLISTEN * has run. */
  unlisten(): void {
    this.#listens = false
  }

  noteNotify(isHeard: boolean): void {
    this.#notifies = isHeard
  }

  /** Another client writes from now on. */
  noteWriter(processId: number, fence: number): void {
    this.#writer = processId
    this.#writerFence = fence
  }

  /** The writer has given the connection back. */
  noteWritten(fence: number): void {
    this.#wroteFence = fence
  }

  /** All that was notified here has been heard. */
  forgetWriter(): void {
    this.#writer = null
    this.#writerFence = 0
    this.#wroteFence = 0
  }
}

import type { Link } from '../net/link.ts'

/** How long a client may take to read why it was turned away, ms. */
const readMs = 1000
/** Each of them holds a descriptor, which are what is short. */
const maxLinks = 16

/**
 * Clients that hear why they can't come in before anything of theirs was read. Closing at once would
 * make the kernel reset the connection over their unread bytes, and take the answer along.
 */
export class TurnedAway {
  /** In order of arrival. */
  readonly #links = new Set<Link>()

  add(link: Link, answer: Uint8Array): void {
    const [oldest] = this.#links
    if (oldest !== undefined && this.#links.size >= maxLinks) this.#drop(oldest)
    this.#links.add(link)
    const timer = setTimeout(() => this.#drop(link), readMs)
    timer.unref()
    link.onClose = () => {
      clearTimeout(timer)
      this.#links.delete(link)
    }
    link.write(answer)
    link.flush()
    link.end()
  }

  #drop(link: Link): void {
    this.#links.delete(link)
    link.destroy()
  }
}

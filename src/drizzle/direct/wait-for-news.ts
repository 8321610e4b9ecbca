/** Resolves at the next news of the topology or of a position, or after `limitMs`. Never rejects. */
export function waitForNews(
  onNews: (callback: () => void) => () => void,
  limitMs: number,
): Promise<void> {
  return new Promise((resolve) => {
    const go = (): void => {
      forget()
      clearTimeout(timer)
      resolve()
    }
    const forget = onNews(go)
    const timer = setTimeout(go, Math.max(0, Math.ceil(limitMs)))
  })
}

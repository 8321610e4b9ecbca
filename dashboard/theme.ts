export type Theme = 'auto' | 'light' | 'dark'

const key = 'pgsplit.theme'

export function storedTheme(): Theme {
  const stored = localStorage.getItem(key)
  return stored === 'light' || stored === 'dark' ? stored : 'auto'
}

export function applyTheme(theme: Theme): void {
  document.documentElement.dataset.theme = theme
  localStorage.setItem(key, theme)
  dispatchEvent(new Event('pgsplit-theme'))
}

/** Tells when colours have changed: by the reader here, or by the system. Gives what ends it. */
export function onTheme(listener: () => void): () => void {
  const system = matchMedia('(prefers-color-scheme: dark)')
  system.addEventListener('change', listener)
  addEventListener('pgsplit-theme', listener)
  return () => {
    system.removeEventListener('change', listener)
    removeEventListener('pgsplit-theme', listener)
  }
}

/** A colour of the style sheet, as it is now. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()
}

/** Nodes keep their colour whatever becomes of them: it goes by their place in the list of names. */
export function nodeColourName(index: number): string {
  return `node-${index % 16}`
}

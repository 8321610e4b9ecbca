import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { type Browser, chromium, type Page } from 'playwright-core'

const program = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
  (path) => existsSync(path),
)

/** Why tests that look at pages can't run here; null: they can. */
export function whyNoBrowser(): string | null {
  return program === undefined ? 'no Chromium (needs the package chromium)' : null
}

/** Debian's Chromium. Close it behind you. */
export function startBrowser(): Promise<Browser> {
  return chromium.launch({ executablePath: program ?? '', args: ['--no-sandbox'] })
}

/** What the HTTP door serves is what `dashboard/` is now. */
export function buildDashboard(): void {
  const build = fileURLToPath(new URL('../../dashboard/build.ts', import.meta.url))
  execFileSync(process.execPath, [build])
}

interface Violation {
  readonly id: string
  readonly nodes: readonly { readonly html: string; readonly failureSummary: string }[]
}

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

/** What axe finds fault with in the page as it is now, a line each. */
export async function axeViolations(page: Page): Promise<string[]> {
  await page.evaluate(axe)
  const found = await page.evaluate<readonly Violation[]>(
    'axe.run(document).then(({ violations }) => violations)',
  )
  return found.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html}\n${failureSummary}`),
  )
}

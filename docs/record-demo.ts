/**
 * `npm run docs:record`: runs the demo and draws what it printed, when it printed it, as an animated
 * picture: docs/public/demo.svg. Nothing in it is made up; long silences are shortened.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'

/** Lines that are on the screen from one moment to another. */
interface Shown {
  readonly lines: readonly string[]
  readonly row: number
  readonly fromMs: number
  toMs: number
}

const command = ['node', 'src/cli.ts', 'demo', '--for', '12s'] as const
const lineHeight = 17
/** A machine that is busy may be silent for longer; it is shown as so long, ms. */
const longestMs = 1200
/** How long the end stays before it begins anew, ms. */
const restMs = 6000

const heard = await hear()
const { shown, rows, endMs } = arrange(heard)
writeFileSync(new URL('public/demo.svg', import.meta.url), draw(shown, rows, endMs + restMs))

async function hear(): Promise<{ atMs: number; line: string }[]> {
  let last = performance.now()
  let atMs = 0
  const child = spawn(command[0], command.slice(1), { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'close')
  const lines: { atMs: number; line: string }[] = []
  for await (const line of createInterface(child.stdout)) {
    const now = performance.now()
    atMs += Math.min(Math.round(now - last), longestMs)
    last = now
    lines.push({ atMs, line })
  }
  const [code] = await ended
  if (code !== 0) throw new Error(`the demo ended with ${code}`)
  return lines
}

/** As `Screen` does it on a terminal: the table replaces the one before, other lines stay. */
function arrange(heard: readonly { atMs: number; line: string }[]) {
  const shown: Shown[] = [
    { lines: ['$ npm run demo -- --for 12s'], row: 0, fromMs: 0, toMs: Infinity },
  ]
  let row = 1
  let rows = row
  let table: Shown | null = null
  for (let i = 0; i < heard.length; i++) {
    const { atMs, line } = heard[i] ?? { atMs: 0, line: '' }
    if (table !== null) table.toMs = atMs
    table = null
    if (!line.startsWith('node  ')) {
      shown.push({ lines: [line], row, fromMs: atMs, toMs: Infinity })
      row++
    } else {
      const length = heard.slice(i).findIndex((one) => one.line.startsWith('workload:')) + 1
      const lines = heard.slice(i, i + length).map((one) => one.line)
      table = { lines, row, fromMs: atMs, toMs: Infinity }
      shown.push(table)
      i += length - 1
      rows = Math.max(rows, row + length)
    }
  }
  return { shown, rows: Math.max(rows, row), endMs: heard.at(-1)?.atMs ?? 0 }
}

function draw(shown: readonly Shown[], rows: number, totalMs: number): string {
  const percent = (ms: number): string => ((100 * Math.min(ms, totalMs)) / totalMs).toFixed(2)
  const styles = shown.map(({ fromMs, toMs }, i) => {
    const until = Number.isFinite(toMs) ? `${percent(toMs)}%{visibility:hidden}` : ''
    return `@keyframes k${i}{0%{visibility:hidden}${percent(fromMs)}%{visibility:visible}${until}100%{visibility:${until === '' ? 'visible' : 'hidden'}}}#l${i}{animation:k${i} ${totalMs}ms step-end infinite}`
  })
  const groups = shown.map(({ lines, row }, i) => {
    const texts = lines.map(
      (line, j) => `<text x="14" y="${14 + (row + j + 1) * lineHeight}">${escaped(line)}</text>`,
    )
    return `<g id="l${i}">${texts.join('')}</g>`
  })
  const height = 28 + rows * lineHeight
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 760 ${height}" width="760" height="${height}" role="img">
<title>npm run demo, as it ran</title>
<style>text{font:12.5px ui-monospace,Menlo,Consolas,monospace;fill:#d7dde5;white-space:pre}
${styles.join('\n')}
@media (prefers-reduced-motion:reduce){g{animation-duration:1ms!important;animation-iteration-count:1!important;animation-fill-mode:forwards!important}}
</style>
<rect width="100%" height="100%" rx="8" fill="#161b22"/>
${groups.join('\n')}
</svg>
`
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

/** `4.2 ms`, `1.2 s`, `–`: never more than three digits that count. */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined || Number.isNaN(ms)) return '–'
  if (ms < 1) return ms === 0 ? '0 ms' : `${short(ms * 1000)} µs`
  if (ms < 1_000) return `${short(ms)} ms`
  if (ms < 120_000) return `${short(ms / 1000)} s`
  if (ms < 7_200_000) return `${short(ms / 60_000)} min`
  return `${short(ms / 3_600_000)} h`
}

/** `1.2 k`, `37`, `0.4`. */
export function count(number: number | null | undefined): string {
  if (number === null || number === undefined || Number.isNaN(number)) return '–'
  if (number >= 999_500) return `${short(number / 1_000_000)} M`
  if (number >= 9_995) return `${short(number / 1000)} k`
  return number >= 100 ? String(Math.round(number)) : short(number)
}

export function percent(part: number, whole: number): string {
  if (!(whole > 0)) return '–'
  const share = (100 * part) / whole
  return `${share >= 10 || share === 0 ? Math.round(share) : share.toFixed(1)} %`
}

export function bytes(number: number | null | undefined): string {
  if (number === null || number === undefined) return '–'
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let size = number
  let unit = 0
  while (size >= 999.5 && unit < units.length - 1) {
    size /= 1000
    unit++
  }
  return `${short(size)} ${units[unit]}`
}

/** `14:03:07`, as clocks are where the reader is. */
export function clock(atMs: number): string {
  const date = new Date(atMs)
  const part = (number: number): string => String(number).padStart(2, '0')
  return `${part(date.getHours())}:${part(date.getMinutes())}:${part(date.getSeconds())}`
}

function short(number: number): string {
  if (number >= 99.5) return String(Math.round(number))
  const text = number >= 9.95 ? number.toFixed(0) : number.toFixed(1)
  return text.endsWith('.0') ? text.slice(0, -2) : text
}

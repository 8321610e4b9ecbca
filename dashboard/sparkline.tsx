const width = 120
const height = 28
const points = 60

interface SparklineProps {
  readonly numbers: readonly (number | null)[]
  /** Name of a colour of the style sheet. */
  readonly colour: string
}

/** A small moving plot beside a number that says the same: nothing for a screen reader. */
export function Sparkline({ numbers, colour }: SparklineProps) {
  const thinned = thin(numbers)
  const top = Math.max(...thinned.map((one) => one ?? 0), 1e-9)
  let path = ''
  let isOpen = false
  for (const [i, number] of thinned.entries()) {
    if (number === null) {
      isOpen = false
      continue
    }
    const x = (i * width) / (points - 1)
    const y = height - 2 - (number / top) * (height - 4)
    path += `${isOpen ? 'L' : 'M'}${x.toFixed(1)} ${y.toFixed(1)}`
    isOpen = true
  }
  return (
    <svg
      class="spark"
      viewBox={`0 0 ${width} ${height}`}
      preserveAspectRatio="none"
      aria-hidden="true"
    >
      <path d={path} stroke={`var(--${colour})`} />
    </svg>
  )
}

/** The highest of each stretch: a short peak is what one looks for. The newest is at the end. */
function thin(numbers: readonly (number | null)[]): (number | null)[] {
  const each = Math.max(1, Math.ceil(numbers.length / points))
  return Array.from({ length: points }, (_, i) => {
    const end = numbers.length - (points - 1 - i) * each
    let most: number | null = null
    for (let at = Math.max(0, end - each); at < end; at++) {
      const number = numbers[at] ?? null
      if (number !== null && (most === null || number > most)) most = number
    }
    return most
  })
}

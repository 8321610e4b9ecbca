import { useEffect, useRef, useState } from 'preact/hooks'
import uPlot from 'uplot'
import { clock } from './format.ts'
import { colour, onTheme } from './theme.ts'

/** Both sides of all plots: what stands above each other is of one time. */
export const leftAxis = 58
export const rightEdge = 10

export interface PlotLine {
  readonly name: string
  /** Name of a colour of the style sheet. */
  readonly colour: string
  readonly numbers: readonly (number | null)[]
}

interface PlotProps {
  readonly title: string
  /** Seconds since 1970. */
  readonly times: readonly number[]
  readonly lines: readonly PlotLine[]
  readonly format: (number: number | null) => string
  /** First and last moment, seconds. */
  readonly range: readonly [number, number]
  /** Moments with something to remember, seconds. */
  readonly marks?: readonly number[]
  readonly isStacked?: boolean
  readonly isLogarithmic?: boolean
  readonly height?: number
  /** Plots of one key show the same moment. */
  readonly cursor?: string
  readonly children?: preact.ComponentChildren
}

/**
 * A moving plot. Its numbers are also text: below its title those of now, or of the moment that the
 * pointer or the arrow keys have chosen.
 */
export function Plot(props: PlotProps) {
  const { title, times, lines, format, range, marks = [], isStacked = false, height = 132 } = props
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot | null>(null)
  const [at, setAt] = useState<number | null>(null)
  const [theme, setTheme] = useState(0)
  const marksNow = useRef(marks)
  marksNow.current = marks
  const rangeNow = useRef(range)
  rangeNow.current = range
  const names = lines.map((line) => `${line.name}\0${line.colour}`).join('\n')
  useEffect(() => onTheme(() => setTheme((n) => n + 1)), [])

  useEffect(() => {
    const { current } = place
    if (current === null) return
    const made = new uPlot(
      optionsOf(props, { width: current.clientWidth, height, marksNow, rangeNow, onCursor: setAt }),
      [[], ...lines.map(() => [])] as uPlot.AlignedData,
      current,
    )
    plot.current = made
    const watch = new ResizeObserver(() => made.setSize({ width: current.clientWidth, height }))
    watch.observe(current)
    return () => {
      watch.disconnect()
      made.destroy()
      plot.current = null
    }
  }, [names, theme, isStacked, props.isLogarithmic, height])

  useEffect(() => {
    const columns = lines.map(({ numbers }) => numbers as (number | null)[])
    const shown = isStacked ? stacked(columns) : columns
    plot.current?.setData([times, ...shown] as unknown as uPlot.AlignedData)
  })

  const last = times.length - 1
  const index = at === null || at > last ? last : at
  const leave = (): void => plot.current?.setCursor({ left: -10, top: -10 })
  const move = (event: KeyboardEvent): void => {
    const steps: Record<string, number> = {
      ArrowLeft: -1,
      ArrowRight: 1,
      PageUp: -30,
      PageDown: 30,
    }
    const step = steps[event.key]
    const { current } = plot
    if (event.key === 'Escape') leave()
    if (step === undefined || current === null) return
    event.preventDefault()
    const next = Math.min(last, Math.max(0, index + step))
    const left = current.valToPos(times[next] ?? 0, 'x')
    current.setCursor({ left, top: 10 })
    setAt(next)
  }
  const when = at === null ? 'now' : clock((times[index] ?? 0) * 1000)
  return (
    <figure class="card plot">
      <figcaption>
        <h2>{title}</h2>
        {props.children}
        <span class="when quiet">{when}</span>
        <ul class="legend" aria-live={at === null ? 'off' : 'polite'}>
          {lines.map((line) => (
            <li key={line.name}>
              <i class={`dot ${line.colour}`} />
              {line.name} <b>{format(line.numbers[index] ?? null)}</b>
            </li>
          ))}
        </ul>
      </figcaption>
      <div
        ref={place}
        class="canvas"
        role="application"
        tabIndex={0}
        aria-label={`${title}, plot. Arrow keys choose a moment, Escape goes back to now.`}
        onKeyDown={move}
        onBlur={leave}
      />
    </figure>
  )
}

interface Made {
  readonly width: number
  readonly height: number
  readonly marksNow: { readonly current: readonly number[] }
  readonly rangeNow: { readonly current: readonly [number, number] }
  readonly onCursor: (index: number | null) => void
}

function optionsOf(props: PlotProps, made: Made): uPlot.Options {
  const { lines, format, isStacked = false, isLogarithmic = false, cursor = 'all' } = props
  const [text, grid, surface, mark] = ['quiet', 'grid', 'surface', 'warn'].map(colour) as [
    string,
    string,
    string,
    string,
  ]
  const axis = {
    stroke: text,
    grid: { stroke: grid, width: 1 },
    ticks: { show: false },
    font: '11px system-ui, sans-serif',
  }
  const ratio = devicePixelRatio || 1
  return {
    width: made.width,
    height: made.height,
    padding: [8, rightEdge, 0, 0],
    legend: { show: false },
    cursor: {
      sync: { key: cursor },
      y: false,
      drag: { x: false, y: false },
      points: { show: !isStacked, size: 6 },
    },
    scales: {
      x: { time: true, range: () => [...made.rangeNow.current] as [number, number] },
      y: isLogarithmic
        ? { distr: 3, log: 10, range: (_plot, low, high) => decadesOf(low, high) }
        : { range: (_plot, _low, high) => [0, high > 0 ? high * 1.1 : 1] },
    },
    axes: [
      {
        ...axis,
        size: 24,
        values: (_plot, ticks) => ticks.map((tick) => clockOf(tick)),
        space: 70,
      },
      {
        ...axis,
        ...(isLogarithmic ? { grid: { ...axis.grid, filter: decades }, filter: decades } : {}),
        size: leftAxis,
        space: 26,
        values: (_plot, ticks) => ticks.map((tick) => (tick === null ? '' : format(tick))),
      },
    ],
    series: [
      {},
      ...lines.map(
        (line): uPlot.Series => ({
          label: line.name,
          stroke: isStacked ? surface : colour(line.colour),
          width: isStacked ? 1 : 1.5,
          ...(isStacked ? { fill: colour(line.colour) } : {}),
          points: { show: false },
          spanGaps: false,
        }),
      ),
    ],
    hooks: {
      setCursor: [({ cursor: { idx } }) => made.onCursor(idx ?? null)],
      draw: [
        (plot) => {
          const { ctx, bbox } = plot
          ctx.save()
          ctx.strokeStyle = mark
          ctx.lineWidth = ratio
          ctx.setLineDash([4 * ratio, 3 * ratio])
          for (const at of made.marksNow.current) {
            const x = plot.valToPos(at, 'x', true)
            if (x < bbox.left || x > bbox.left + bbox.width) continue
            ctx.beginPath()
            ctx.moveTo(x, bbox.top)
            ctx.lineTo(x, bbox.top + bbox.height)
            ctx.stroke()
          }
          ctx.restore()
        },
      ],
    },
  }
}

/** Each upon all behind it: drawn in this order, the next covers what is not its neighbour's. */
function stacked(columns: readonly (readonly (number | null)[])[]): (number | null)[][] {
  const sums: (number | null)[] = []
  const result: (number | null)[][] = []
  for (const column of [...columns].reverse()) {
    for (const [i, number] of column.entries()) {
      if (number !== null) sums[i] = (sums[i] ?? 0) + number
      else sums[i] ??= null
    }
    result.unshift([...sums])
  }
  return result
}

/** Whole decades around the numbers: never below 10 µs, where nobody looks. */
function decadesOf(low: number | null, high: number | null): [number, number] {
  const first = Math.floor(Math.log10(Math.max(0.01, low ?? 0.1)))
  const last = Math.ceil(Math.log10(Math.max(0.02, high ?? 10)))
  return [10 ** first, 10 ** Math.max(first + 1, last)]
}

/** Of a logarithmic axis: what is between them is only noise. */
function decades(_plot: uPlot, ticks: readonly (number | null)[]): (number | null)[] {
  return ticks.map((tick) => {
    return tick !== null && Math.abs(Math.log10(tick) - Math.round(Math.log10(tick))) < 1e-6
      ? tick
      : null
  })
}

function clockOf(seconds: number): string {
  return clock(seconds * 1000).slice(0, seconds % 60 === 0 ? 5 : 8)
}

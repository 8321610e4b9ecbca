import { readFile, stat, writeFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { Command } from 'commander'
import { type Backtest, backtest } from '../capacity/backtest.ts'
import { chartColumns } from '../capacity/chart-columns.ts'
import { maxTraceBytes, readTrace } from '../capacity/read-trace.ts'
import { reportLines } from '../capacity/report.ts'
import type { ReadSeries } from '../capacity/series.ts'
import { svgChart } from '../capacity/svg-chart.ts'
import { textChart } from '../capacity/text-chart.ts'
import { noZone, type ZoneOffset, zoneOffsets } from '../capacity/weeks.ts'
import { parseDuration } from '../duration.ts'
import { ConfigError } from '../errors.ts'
import type { CommandIo } from './command-io.ts'

const weekMs = 7 * 24 * 3_600_000
const textColumns = 72
const svgColumns = 800

interface ForecastFlags {
  readonly backtest: string
  readonly horizon: string
  readonly zone?: string
  readonly json?: true
  readonly svg?: string
}

/** `pgsplit forecast`: what forecasts of a load would have been worth, as if it were then. */
export function forecastCommand(io: CommandIo): Command {
  return new Command('forecast')
    .description('say what a forecast of the load would have been worth: error, overload and cost')
    .requiredOption('--backtest <file>', 'a CSV file: a time and a load per line')
    .option('--horizon <duration>', 'how long a replica takes to start', '15m')
    .option('--zone <name>', 'time zone of those who make the load, such as Europe/Berlin')
    .option('--json', 'print figures for programs')
    .option('--svg <file>', 'write a chart of the last two weeks there')
    .action(async (flags: ForecastFlags) => {
      const horizonMs = parseDuration(flags.horizon)
      if (horizonMs === undefined || horizonMs < 60_000 || horizonMs > weekMs) {
        throw new ConfigError('--horizon', 'expected a duration from 1m to 168h, such as 15m')
      }
      const read = await readFileOf(flags.backtest)
      const result = backtest(read.series, { horizonMs, offsetOf: offsetsOf(flags.zone) })
      const columns = (count: number, weeks: number) =>
        chartColumns(read.series, result.predicted, weeks * weekMs, count)
      if (flags.svg !== undefined) {
        const svg = svgChart(basename(flags.backtest), columns(svgColumns, 2))
        await writeFile(flags.svg, svg).catch((error: NodeJS.ErrnoException) => {
          throw new ConfigError('--svg', `cannot write ${flags.svg} (${error.code})`)
        })
      }
      if (flags.json === true) io.print(JSON.stringify(figuresOf(result, read.notes)))
      else {
        for (const note of read.notes) io.print(`note: ${note}`)
        for (const line of [...reportLines(result), '', ...textChart(columns(textColumns, 1))]) {
          io.print(line)
        }
      }
    })
}

function figuresOf({ predicted: _predicted, ...figures }: Backtest, notes: readonly string[]) {
  return { ...figures, notes }
}

async function readFileOf(file: string): Promise<ReadSeries> {
  const text = await readText(file)
  const read = readTrace(text)
  if (typeof read === 'string') throw new ConfigError('--backtest', `${file}: ${read}`)
  return read
}

async function readText(file: string): Promise<string> {
  try {
    const { size } = await stat(file)
    if (size > maxTraceBytes) {
      throw new ConfigError('--backtest', `${file} has more than ${maxTraceBytes} bytes`)
    }
    return await readFile(file, 'utf8')
  } catch (error) {
    if (error instanceof ConfigError) throw error
    const { code } = error as NodeJS.ErrnoException
    throw new ConfigError('--backtest', `cannot read ${file} (${code})`)
  }
}

function offsetsOf(zone: string | undefined): ZoneOffset {
  if (zone === undefined) return noZone
  try {
    return zoneOffsets(zone)
  } catch {
    throw new ConfigError('--zone', `"${zone}" is no time zone such as Europe/Berlin`)
  }
}

import { forecast, type ModelName, modelNames } from './models.ts'
import type { Series } from './series.ts'
import { type Outcome, simulate } from './simulate.ts'
import { type Errors, mayAct, Skill } from './skill.ts'
import { noZone, type ZoneOffset } from './weeks.ts'

const weekMs = 7 * 24 * 3_600_000
/** A replica is there a quarter of an hour after it was ordered, if steps are not longer. */
const usualHorizonMs = 15 * 60_000

export interface BacktestOptions {
  /** How far ahead, ms. Default 15 min, and one step at least. */
  readonly horizonMs?: number
  /** The clocks of those who make the load. Default: each day has 24 hours. */
  readonly offsetOf?: ZoneOffset
}

/** How forecasts would have done. */
export interface Backtest {
  readonly horizonMs: number
  /** Values, and of them those that were forecast by all models. */
  readonly values: number
  readonly forecasts: number
  /** Mean absolute error of each model by that of persistence; null where nothing was forecast. */
  readonly errors: Readonly<Record<ModelName, number | null>>
  /** Skill of the last week; null: there was none yet. */
  readonly skill: number | null
  /** Share of the time, from the second week on, in which the forecast was let act. */
  readonly acting: number
  readonly reactive: Outcome
  readonly forecast: Outcome
  /** What was forecast for each value, NaN: nothing. */
  readonly predicted: Float64Array
}

/**
 * Goes through a series as if it were now, step by step (rolling origin): at each one nothing is
 * known but what was measured up to then.
 */
export function backtest(series: Series, options: BacktestOptions = {}): Backtest {
  const { values, stepMs } = series
  const offsetOf = options.offsetOf ?? noZone
  const aheadSteps = Math.max(1, Math.round((options.horizonMs ?? usualHorizonMs) / stepMs))
  const skill = new Skill(stepMs)
  const said = Object.fromEntries(
    modelNames.map((name) => [name, new Float64Array(values.length).fill(Number.NaN)]),
  ) as Record<ModelName, Float64Array>
  const reactive = new Float64Array(values.length)
  const wanted = new Float64Array(values.length)
  const sums = Object.fromEntries(modelNames.map((name) => [name, 0])) as Record<ModelName, number>
  let [forecasts, acting, mightAct] = [0, 0, 0]
  const from = Math.round(weekMs / stepMs)
  for (let now = 0; now < values.length; now++) {
    const errors = errorsAt(said, now, values[now] ?? Number.NaN)
    if (errors !== null) {
      skill.note(errors)
      forecasts++
      for (const name of modelNames) sums[name] += errors[name]
    }
    for (const name of modelNames) {
      const target = said[name]
      if (now + aheadSteps < values.length) {
        target[now + aheadSteps] = forecast(name, series, now, aheadSteps, offsetOf)
      }
    }
    const current = values[now] ?? Number.NaN
    reactive[now] = current
    wanted[now] = current
    if (now < from) continue
    mightAct++
    const ahead = forecast('shape', series, now, aheadSteps, offsetOf)
    if (!mayAct(skill.value) || Number.isNaN(ahead)) continue
    acting++
    wanted[now] = Math.max(current, ahead)
  }
  const relative = (name: ModelName): number | null =>
    sums.persistence === 0 ? null : sums[name] / sums.persistence
  return {
    horizonMs: aheadSteps * stepMs,
    values: values.length,
    forecasts,
    errors: Object.fromEntries(
      modelNames.map((name) => [name, relative(name)]),
    ) as Backtest['errors'],
    skill: skill.value,
    acting: mightAct === 0 ? 0 : acting / mightAct,
    reactive: simulate(series, reactive, from, aheadSteps),
    forecast: simulate(series, wanted, from, aheadSteps),
    predicted: said.shape,
  }
}

/** The errors of all models at one value; null: not all had said something, or it is missing. */
function errorsAt(
  said: Readonly<Record<ModelName, Float64Array>>,
  at: number,
  value: number,
): Errors | null {
  const of = (name: ModelName): number => Math.abs((said[name][at] ?? Number.NaN) - value)
  const errors = {
    shape: of('shape'),
    level: of('level'),
    'linear-1h': of('linear-1h'),
    'linear-3h': of('linear-3h'),
    persistence: of('persistence'),
  }
  return modelNames.some((name) => Number.isNaN(errors[name])) ? null : errors
}

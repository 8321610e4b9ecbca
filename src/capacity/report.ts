import type { Backtest } from './backtest.ts'
import { modelNames } from './models.ts'

/** A backtest as lines for people. */
export function reportLines(result: Backtest): string[] {
  const { horizonMs, forecasts, values, errors, skill, acting, reactive, forecast } = result
  const model = modelNames.map((name) => `  ${name.padEnd(12)} ${number(errors[name], 2)}`)
  const scaling = [
    ['reactive', reactive],
    ['forecast', forecast],
  ] as const
  return [
    `horizon ${horizonMs / 60_000} min, ${forecasts} of ${values} values forecast by every model`,
    '',
    'mean absolute error, by that of persistence (the load stays as it is):',
    ...model,
    '',
    `skill of the last week: ${number(skill, 2)} (1 - error of shape / error of the best other model)`,
    verdict(result),
    '',
    'scaling          time in overload   replica hours / clairvoyant',
    ...scaling.map(([name, { overload, cost }]) => {
      return `  ${name.padEnd(12)} ${`${(overload * 100).toFixed(2)} %`.padStart(15)}   ${cost.toFixed(2).padStart(10)}`
    }),
    `  let act in ${(acting * 100).toFixed(1)} % of the time behind the first week`,
  ]
}

function verdict({ skill, acting }: Backtest): string {
  if (acting === 0)
    return 'the forecast would never have acted: no week has shown skill, so scaling stays reactive'
  return skill !== null && skill > 0
    ? 'the forecast would act now: max(reactive, forecast)'
    : 'the forecast would not act now: last week it had no skill'
}

function number(value: number | null, digits: number): string {
  return value === null ? 'none yet' : value.toFixed(digits)
}

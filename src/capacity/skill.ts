import { type ModelName, modelNames } from './models.ts'

const weekMs = 7 * 24 * 3_600_000
/** So much of a week must have been forecast until it says anything. */
const leastShare = 0.8
/** Models that know nothing of the week: the acting one must beat the best of them. */
const simple = modelNames.filter((name) => name !== 'shape')

/** The errors of all models at one time: |forecast − what came|. */
export type Errors = Readonly<Record<ModelName, number>>

/**
 * How much better the weekly shape has been than the best of the simple models, over the last week:
 * 1 = it knows everything, 0 = no better, below = worse. Keeps the errors of a week, and nothing else.
 */
export class Skill {
  readonly #capacity: number
  readonly #errors: Errors[] = []
  #next = 0
  #sums = zero()

  constructor(stepMs: number) {
    this.#capacity = Math.max(1, Math.round(weekMs / stepMs))
  }

  /** What came, and what each model had said; call it once for each step of which all could tell. */
  note(errors: Errors): void {
    const old = this.#errors[this.#next]
    this.#errors[this.#next] = errors
    this.#next = (this.#next + 1) % this.#capacity
    // Rounding must not pile up over years.
    if (this.#next === 0) this.#sums = this.#errors.reduce(plus, zero())
    else this.#sums = plus(old === undefined ? this.#sums : minus(this.#sums, old), errors)
  }

  /** Null: there is no week of forecasts yet. */
  get value(): number | null {
    if (this.#errors.length < this.#capacity * leastShare) return null
    const best = Math.min(...simple.map((name) => this.#sums[name]))
    return best === 0 ? 0 : 1 - this.#sums.shape / best
  }
}

/**
 * May the forecast act? Only while last week's skill is above 0 by more than chance gives: with two
 * models that are equally good one of them has done a little better in any week.
 */
export function mayAct(skill: number | null): boolean {
  return skill !== null && skill > leastSkill
}

/** Of public traces without a rhythm no week has had more. */
const leastSkill = 0

function zero(): Errors {
  return { shape: 0, level: 0, 'linear-1h': 0, 'linear-3h': 0, persistence: 0 }
}

function plus(one: Errors, other: Errors): Errors {
  return combine(one, other, 1)
}

function minus(one: Errors, other: Errors): Errors {
  return combine(one, other, -1)
}

function combine(one: Errors, other: Errors, sign: 1 | -1): Errors {
  const of = (name: ModelName): number => one[name] + sign * other[name]
  return {
    shape: of('shape'),
    level: of('level'),
    'linear-1h': of('linear-1h'),
    'linear-3h': of('linear-3h'),
    persistence: of('persistence'),
  }
}

/** One number at the moment of the scrape. Values of labels come from a bounded set of words. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
  /** Of a histogram's lines: `_bucket`, `_sum`, `_count`. */
  readonly suffix?: '_bucket' | '_sum' | '_count'
}

/**
 * A family of samples, named by Prometheus' conventions: base units (seconds, bytes), counters end in
 * `_total`.
 */
export interface Metric {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly samples: readonly Sample[]
}

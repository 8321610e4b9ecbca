import { formatLsn } from '../../../src/topology/lsn.ts'
import type { NodeSpec } from '../../../src/topology/node.ts'
import type { ProbeRow } from '../../../src/topology/probe.ts'
import type { OpenProbe } from '../../../src/topology/probe-connection.ts'

export function spec(index: number, given: Partial<NodeSpec> = {}): NodeSpec {
  const id = index === 0 ? 'primary' : `r${index}`
  return { id, index, host: '127.0.0.1', port: 5432 + index, zone: null, weight: 1, ...given }
}

export function coded(code: string, message = code): Error {
  return Object.assign(new Error(message), { code })
}

/** A scripted PostgreSQL: answers the probe from its fields. */
export class FakeNode {
  role: 'primary' | 'replica'
  insertLsn = 1000n
  /** null = as far as the insert position. */
  flushLsn: bigint | null = null
  replayLsn = 1000n
  timeline = 1
  controlTimeline = 1
  receiverVisible = true
  receiver = true
  paused = false
  systemIdentifier = '7000000000000000001'
  /** What dialling does now. */
  dial: 'ok' | 'hang' | Error = 'ok'
  /** What a question does on an open connection. */
  answer: 'ok' | 'hang' | Error = 'ok'
  controlFile = true
  dials = 0
  questions = 0
  open = 0
  readonly lost = new Set<() => void>()

  constructor(role: 'primary' | 'replica') {
    this.role = role
  }

  /** Breaks the open connections, as a stopped server does. */
  cut(): void {
    for (const lost of [...this.lost]) lost()
    this.lost.clear()
  }

  row(full: boolean): ProbeRow {
    const standby = this.role === 'replica'
    const control = full ? [String(this.controlTimeline), this.systemIdentifier] : [null, null]
    const receiver = standby && this.receiver
    const visible = receiver && this.receiverVisible
    return [
      String(standby),
      standby ? null : formatLsn(this.insertLsn),
      standby ? formatLsn(this.replayLsn) : null,
      standby ? formatLsn(this.replayLsn) : null,
      standby
        ? null
        : `${this.timeline.toString(16).toUpperCase().padStart(8, '0')}${'0'.repeat(16)}`,
      standby ? null : formatLsn(this.flushLsn ?? this.insertLsn),
      standby ? String(this.paused) : null,
      ...control,
      receiver ? '4711' : null,
      visible ? 'streaming' : null,
      visible ? String(this.timeline) : null,
      '150018',
      '2026-11-29 2026-11-28',
      'false',
    ]
  }
}

/** Dials the scripted nodes by index. */
export function openFake(nodes: readonly FakeNode[]): OpenProbe {
  return async ({ index }, { onLost, signal }) => {
    const node = nodes[index]
    if (node === undefined) throw new Error(`no node ${index}`)
    node.dials += 1
    if (node.dial === 'hang') await hang(signal)
    if (node.dial instanceof Error) throw node.dial
    node.open += 1
    let closed = false
    const close = (): void => {
      if (!closed) node.open -= 1
      closed = true
    }
    node.lost.add(() => {
      close()
      onLost()
    })
    return {
      async query(sql) {
        node.questions += 1
        if (node.answer === 'hang') await hang(signal)
        if (node.answer instanceof Error) throw node.answer
        const full = sql.includes('pg_control_checkpoint')
        if (full && !node.controlFile) throw coded('42501', 'permission denied for function')
        return node.row(full)
      },
      close,
    }
  }
}

function hang(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(new Error('aborted')))
  })
}

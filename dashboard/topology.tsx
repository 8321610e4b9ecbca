import { useState } from 'preact/hooks'
import { ActionDialog, type Question } from './action-dialog.tsx'
import { bytes, count, duration, percent } from './format.ts'
import { Sparkline } from './sparkline.tsx'
import { nodeColourName } from './theme.ts'
import { type NodeNow, placeOf, type View } from './view.ts'

/** Who is there, as what, and what it does now: the primary, below it the replicas that follow it. */
export function Topology({
  live,
  cluster,
  fromMs,
  isOperator,
}: View & { readonly isOperator: boolean }) {
  const [question, ask] = useState<Question | null>(null)
  const { series } = live
  const name = cluster.cluster
  const nodes = [...cluster.nodes].sort((one, other) => rank(one) - rank(other))
  const readsOf = ({ node }: NodeNow): number => series.last(name, node, 'reads') ?? 0
  const allReads = nodes.reduce((sum, node) => sum + readsOf(node), 0)
  const hasZones = nodes.some(({ zone }) => zone !== null)
  return (
    <div class="card">
      <h2 id="topology">Topology</h2>
      <div class="scroll" role="region" aria-labelledby="topology" tabIndex={0}>
        <table class="nodes">
          <thead>
            <tr>
              <th scope="col">Node</th>
              <th scope="col">State</th>
              {hasZones && <th scope="col">Zone</th>}
              <th scope="col">Lag</th>
              <th scope="col">Share of reads</th>
              <th scope="col" class="number">
                Req/s
              </th>
              <th scope="col" class="number">
                Connections
              </th>
              {isOperator && (
                <th scope="col">
                  <span class="hidden">Operate</span>
                </th>
              )}
            </tr>
          </thead>
          <tbody>
            {nodes.map((node) => {
              const colour = nodeColourName(placeOf(cluster, node.node))
              const reads = readsOf(node)
              const requests = reads + (series.last(name, node.node, 'other') ?? 0)
              const lags = { cluster: name, node: node.node, what: 'lag' }
              return (
                <tr key={node.node} class={node.role}>
                  <th scope="row">
                    <i class={`dot ${colour}`} />
                    <span class="name" title={node.node}>
                      {node.node}
                    </span>
                    <span class="role">{node.role}</span>
                  </th>
                  <td>
                    <span class={`chip ${goodness(node.state)}`} title={node.reason}>
                      {node.state}
                    </span>
                  </td>
                  {hasZones && <td>{node.zone ?? '–'}</td>}
                  <td>
                    {node.role === 'primary' ? (
                      <span class="quiet">–</span>
                    ) : (
                      <span class="lag" title={`${bytes(node.lagBytes)} behind`}>
                        <span class="number">{duration(node.lagMs)}</span>
                        <Sparkline numbers={series.numbers(lags, fromMs)} colour={colour} />
                      </span>
                    )}
                  </td>
                  <td>
                    <span class="share">
                      <meter
                        min={0}
                        max={Math.max(allReads, 1e-9)}
                        value={reads}
                        aria-label={`Share of reads of ${node.node}`}
                      />
                      <span class="number">{percent(reads, allReads)}</span>
                    </span>
                  </td>
                  <td class="number">{count(requests)}</td>
                  <td
                    class="number"
                    title={`${node.active} busy, ${node.idle} idle, ${node.waiting} waiting`}
                  >
                    {node.active}
                    <span class="quiet">/{node.active + node.idle}</span>
                    {node.waiting > 0 && <span class="bad"> +{node.waiting}</span>}
                  </td>
                  {isOperator && (
                    <td class="number">
                      <button
                        type="button"
                        class="plain"
                        aria-label={`Operate ${node.node}`}
                        onClick={() => ask(questionOf(name, node))}
                      >
                        ⋯
                      </button>
                    </td>
                  )}
                </tr>
              )
            })}
          </tbody>
        </table>
      </div>
      {nodes.some(({ state }) => goodness(state) !== 'good') && (
        <ul class="reasons">
          {nodes
            .filter(({ state }) => goodness(state) !== 'good')
            .map(({ node, reason }) => (
              <li key={node}>
                <b>{node}</b>: {reason}
              </li>
            ))}
        </ul>
      )}
      {question !== null && (
        <ActionDialog api={live.api} question={question} onEnd={() => ask(null)} />
      )}
    </div>
  )
}

function rank({ role }: NodeNow): number {
  return role === 'primary' ? 0 : role === 'replica' ? 1 : 2
}

function goodness(state: string): 'good' | 'warn' | 'bad' {
  if (state === 'up') return 'good'
  return state === 'draining' || state === 'lagging' || state === 'unknown' ? 'warn' : 'bad'
}

function questionOf(cluster: string, { node, state, role }: NodeNow): Question {
  const body = { node: `${cluster}.${node}` }
  const whose =
    role === 'primary' ? ' It is the primary: writes wait, and fail when that takes too long.' : ''
  if (state === 'draining') {
    const text = 'It gets its share again.'
    return {
      title: `Use ${node} again?`,
      choices: [{ action: 'undrain', name: 'Undrain', body, text }],
    }
  }
  if (state === 'banned') {
    const text = 'It is used again after its next good probe.'
    return {
      title: `Use ${node} again?`,
      choices: [{ action: 'unban', name: 'Unban', body, text }],
    }
  }
  return {
    title: `Take ${node} out?`,
    choices: [
      {
        action: 'drain',
        name: 'Drain',
        body,
        text: `Nothing new is sent to it; what runs there may end.${whose}`,
      },
      {
        action: 'ban',
        name: 'Ban',
        body,
        text: `Nothing is sent to it, whatever its probes say.${whose}`,
        takesDuration: true,
      },
    ],
  }
}

import { useState } from 'preact/hooks'
import { ActionDialog, type Question } from './action-dialog.tsx'
import { ranges } from './app.tsx'
import type { Live } from './live.ts'
import { applyTheme, storedTheme, type Theme } from './theme.ts'
import type { ClusterNow } from './view.ts'

interface HeaderProps {
  readonly live: Live
  readonly hello: { readonly who: string; readonly role: string; readonly version: string }
  readonly cluster: ClusterNow
  readonly onCluster: (name: string) => void
  readonly seconds: number
  readonly onSeconds: (seconds: number) => void
}

export function Header({ live, hello, cluster, onCluster, seconds, onSeconds }: HeaderProps) {
  const [theme, setTheme] = useState<Theme>(storedTheme())
  const [question, ask] = useState<Question | null>(null)
  const name = cluster.cluster
  return (
    <header class="bar">
      <h1 class="logo">
        pgsplit <small>{hello.version}</small>
      </h1>
      <Status live={live} cluster={cluster} />
      {live.clusters.length > 1 && (
        <label class="pick">
          <span class="quiet">cluster</span>
          <select value={name} onChange={(event) => onCluster(event.currentTarget.value)}>
            {live.clusters.map((one) => (
              <option key={one.cluster}>{one.cluster}</option>
            ))}
          </select>
        </label>
      )}
      <span class="space" />
      <fieldset class="segments">
        <legend class="hidden">How much is shown</legend>
        {ranges.map((range) => (
          <label key={range.seconds}>
            <input
              type="radio"
              name="range"
              checked={range.seconds === seconds}
              onChange={() => onSeconds(range.seconds)}
            />
            <span>{range.name}</span>
          </label>
        ))}
      </fieldset>
      {hello.role === 'operator' && (
        <div class="buttons">
          <button type="button" onClick={() => ask(cluster.isPaused ? resume(name) : pause(name))}>
            {cluster.isPaused ? 'Resume' : 'Pause'}
          </button>
          <button type="button" onClick={() => ask(reload)}>
            Reload
          </button>
        </div>
      )}
      <label class="pick">
        <span class="hidden">Colours</span>
        <select
          value={theme}
          onChange={(event) => {
            const chosen = event.currentTarget.value as Theme
            setTheme(chosen)
            applyTheme(chosen)
          }}
        >
          <option value="auto">system</option>
          <option value="light">light</option>
          <option value="dark">dark</option>
        </select>
      </label>
      <span class="who">
        {hello.who} <span class="quiet">{hello.role}</span>
        {live.api.isSignedIn && (
          <button type="button" class="plain" onClick={() => live.signOut()}>
            Sign out
          </button>
        )}
      </span>
      {question !== null && (
        <ActionDialog api={live.api} question={question} onEnd={() => ask(null)} />
      )}
    </header>
  )
}

function Status({ live, cluster }: { readonly live: Live; readonly cluster: ClusterNow }) {
  const { connection, state } = live
  const [kind, text] =
    connection.kind === 'lost'
      ? (['bad', `${connection.why}; trying again`] as const)
      : state === 'draining'
        ? (['warn', 'draining'] as const)
        : cluster.isPaused
          ? (['warn', 'paused'] as const)
          : cluster.nodes.every(({ role, state }) => role !== 'primary' || state !== 'up')
            ? (['bad', 'no primary'] as const)
            : (['good', 'live'] as const)
  return (
    <span class={`status ${kind}`} role="status">
      {text}
    </span>
  )
}

const pause = (cluster: string): Question => ({
  title: `Pause cluster ${cluster}?`,
  choices: [
    {
      action: 'pause',
      name: 'Pause',
      body: { cluster },
      text: 'What runs may end; what would begin is held back until Resume. Clients stay connected and wait.',
    },
  ],
})

const resume = (cluster: string): Question => ({
  title: `Resume cluster ${cluster}?`,
  choices: [
    { action: 'resume', name: 'Resume', body: { cluster }, text: 'What was held back goes on.' },
  ],
})

const reload: Question = {
  title: 'Reload the configuration?',
  choices: [
    {
      action: 'reload',
      name: 'Reload',
      body: {},
      text: 'pgsplit reads its configuration again, as SIGHUP does. No client is dropped; if it cannot be used, nothing changes.',
    },
  ],
}

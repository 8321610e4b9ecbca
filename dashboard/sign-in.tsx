import { useState } from 'preact/hooks'
import type { Live } from './live.ts'

export function SignIn({ live, why }: { readonly live: Live; readonly why: string | null }) {
  const [isToken, setToken] = useState(false)
  const submit = (event: SubmitEvent): void => {
    event.preventDefault()
    const given = new FormData(event.currentTarget as HTMLFormElement)
    const text = (name: string): string => String(given.get(name) ?? '')
    if (isToken) live.api.useToken(text('token').trim())
    else live.api.usePassword(text('user'), text('password'))
    live.start()
  }
  return (
    <main class="alone">
      <h1 class="logo">pgsplit</h1>
      <form class="card sign-in" onSubmit={submit}>
        <fieldset class="choice">
          <legend>Sign in with</legend>
          <label>
            <input type="radio" name="way" checked={!isToken} onChange={() => setToken(false)} />
            password
          </label>
          <label>
            <input type="radio" name="way" checked={isToken} onChange={() => setToken(true)} />
            token
          </label>
        </fieldset>
        {isToken ? (
          <label>
            Token <input name="token" type="password" required autoComplete="off" />
          </label>
        ) : (
          <>
            <label>
              Administrator <input name="user" required autoComplete="username" />
            </label>
            <label>
              Password
              <input name="password" type="password" required autoComplete="current-password" />
            </label>
          </>
        )}
        {why !== null && (
          <p role="alert" class="bad">
            {why}
          </p>
        )}
        <button class="main" type="submit">
          Sign in
        </button>
        <p class="quiet">
          Administrators are those of <code>admin.users</code> and <code>admin.readers</code>,
          tokens those of <code>http.tokens</code>. It is kept in this tab until you close it.
        </p>
      </form>
    </main>
  )
}

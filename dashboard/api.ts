/** What pgsplit answers with when it doesn't do what it was asked for. */
export class ApiError extends Error {
  readonly status: number
  readonly hint: string | undefined

  constructor(status: number, message: string, hint?: string) {
    super(message)
    this.status = status
    this.hint = hint
  }
}

const key = 'pgsplit.authorization'

/** Who looks. It is kept for this tab only, until it is closed. */
export class Api {
  #authorization: string | null

  /** A link may bring a token behind `#token=`: what stands there is sent to nobody. */
  constructor() {
    const brought = /^#token=([\w.~+/-]+=*)$/.exec(location.hash)?.[1]
    if (brought !== undefined) {
      history.replaceState(null, '', location.pathname + location.search)
      sessionStorage.setItem(key, `Bearer ${brought}`)
    }
    this.#authorization = sessionStorage.getItem(key)
  }

  get isSignedIn(): boolean {
    return this.#authorization !== null
  }

  useToken(token: string): void {
    this.#use(`Bearer ${token}`)
  }

  usePassword(user: string, password: string): void {
    const text = new TextEncoder().encode(`${user}:${password}`)
    this.#use(`Basic ${btoa(String.fromCharCode(...text))}`)
  }

  signOut(): void {
    sessionStorage.removeItem(key)
    this.#authorization = null
  }

  /** Paths are relative: pgsplit may stand behind a prefix. Rejects with ApiError. */
  async get(path: string, signal?: AbortSignal): Promise<Response> {
    return this.#ask(path, signal === undefined ? {} : { signal })
  }

  async rows<Row>(name: string): Promise<readonly Row[]> {
    return (await (await this.get(`api/v1/${name}`)).json()).rows
  }

  /** What an operator asks for; gives the lines that it is told. */
  async act(name: string, body: object, signal: AbortSignal): Promise<readonly string[]> {
    const headers = { 'content-type': 'application/json' }
    const init = { method: 'POST', headers, body: JSON.stringify(body), signal }
    return (await (await this.#ask(`api/v1/${name}`, init)).json()).notices
  }

  async #ask(path: string, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers)
    if (this.#authorization !== null) headers.set('authorization', this.#authorization)
    const answer = await fetch(path, { ...init, headers, cache: 'no-store' })
    if (answer.ok) return answer
    const { error } = await answer.json().catch(() => ({}))
    throw new ApiError(answer.status, error?.message ?? `it answered ${answer.status}`, error?.hint)
  }

  #use(authorization: string): void {
    this.#authorization = authorization
    sessionStorage.setItem(key, authorization)
  }
}

import { connect } from 'node:net'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { reasonOf, TestingError } from './testing-error.ts'

export type Testcontainers = typeof import('testcontainers')
/** A container engine that answers. */
export type Engine = Awaited<ReturnType<Testcontainers['getContainerRuntimeClient']>>

/** Testcontainers, which only those have who start containers. Throws TestingError. */
export async function loadTestcontainers(): Promise<Testcontainers> {
  try {
    return await import('testcontainers')
  } catch (error) {
    const isMissing = /Cannot find (package|module) '?testcontainers/.test(reasonOf(error))
    throw new TestingError(
      isMissing
        ? 'ReplicatedPostgresContainer needs the package testcontainers, which is not installed: npm install --save-dev testcontainers; or use startEmbedded() of pgsplit/testing, which needs no container engine'
        : `the package testcontainers cannot be loaded: ${reasonOf(error)}`,
      error,
    )
  }
}

/** The engine that Testcontainers finds. Throws TestingError with what was tried. */
export async function connectEngine(testcontainers: Testcontainers): Promise<Engine> {
  try {
    return await testcontainers.getContainerRuntimeClient()
  } catch (error) {
    const tried = (await whatWasTried()).join('; ')
    throw new TestingError(
      `no container engine answers (${reasonOf(error)}; tried ${tried}); start Docker or Podman, or point DOCKER_HOST at its socket, or use startEmbedded() of pgsplit/testing, which needs no container engine`,
      error,
    )
  }
}

async function whatWasTried(): Promise<string[]> {
  const { DOCKER_HOST, XDG_RUNTIME_DIR } = process.env
  const sockets = new Set([
    '/var/run/docker.sock',
    ...(XDG_RUNTIME_DIR === undefined ? [] : [join(XDG_RUNTIME_DIR, 'docker.sock')]),
    join(homedir(), '.docker/run/docker.sock'),
    join(homedir(), '.docker/desktop/docker.sock'),
  ])
  const tried = [DOCKER_HOST === undefined ? 'DOCKER_HOST: not set' : `DOCKER_HOST=${DOCKER_HOST}`]
  for (const path of sockets) tried.push(`${path}: ${await stateOf(path)}`)
  return tried
}

/** Of a Unix socket: whether somebody listens, in words. */
function stateOf(path: string): Promise<string> {
  const words: Readonly<Record<string, string>> = {
    ENOENT: 'not there',
    EACCES: 'no permission',
    ECONNREFUSED: 'nobody listens',
  }
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('connect', () => resolve('somebody listens, but not a usable engine'))
    socket.once('error', ({ code = 'failed' }: NodeJS.ErrnoException) =>
      resolve(words[code] ?? code),
    )
    socket.once('connect', () => socket.destroy())
  })
}

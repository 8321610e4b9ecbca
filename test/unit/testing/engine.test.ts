import { describe, expect, it } from 'vitest'
import { connectEngine, type Testcontainers } from '../../../src/testing/engine.ts'

describe('connectEngine', () => {
  it('says the cause, what was tried and the way out when there is no engine', async () => {
    const none = {
      getContainerRuntimeClient: () => Promise.reject(new Error('Could not find a strategy')),
    } as unknown as Testcontainers
    const error = await connectEngine(none).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(Error)
    expect(String(error)).toMatch(
      /^TestingError: no container engine answers \(Could not find a strategy; tried DOCKER_HOST.*; \/var\/run\/docker.sock: [a-z ,]+; .*\); start Docker or Podman, or point DOCKER_HOST at its socket, or use startEmbedded\(\)/,
    )
  })
})

import { describe, expect, it } from 'vitest'
import type { Running } from '../../../src/cli/serve.ts'
import { ConfigError } from '../../../src/errors.ts'
import { FakeProcess } from './fake-io.ts'

const flags = ['serve', '--primary', 'postgres://m@h', '--log-level', 'silent']

function fakeProxy() {
  const drained = Promise.withResolvers<void>()
  const stopped = Promise.withResolvers<void>()
  const reloads: string[] = []
  const stops: boolean[] = []
  const running: Running = {
    addresses: [{ host: '127.0.0.1', port: 1 }],
    stopped: stopped.promise,
    reload: () => reloads.push('reload'),
    stop: ({ drain }) => {
      stops.push(drain)
      return drain ? drained.promise : Promise.resolve()
    },
  }
  return { running, stops, drained, stopped, reloads }
}

describe('serve', () => {
  it('gives the proxy the configuration that the flags describe', async () => {
    const { running, drained } = fakeProxy()
    drained.resolve()
    const process = new FakeProcess({
      start: async (config) => {
        expect(config.clusters[0]?.nodes.map((node) => node.host)).toEqual(['h', 'r'])
        expect(config.listen).toEqual([
          { host: '127.0.0.1', port: 7000 },
          { host: '::1', port: 7000 },
        ])
        return running
      },
    })
    const listen = ['--listen', '7000', '--listen', '[::1]:7000']
    const ended = process.run([...flags, '--replica', 'postgres://m@r', ...listen])
    await expect.poll(() => process.listenerCount).toBe(1)
    process.interrupt()
    expect(await ended).toBe(0)
    expect(process.err).toEqual([])
  })

  it('drains at the first signal and ends with 0', async () => {
    const { running, stops, drained } = fakeProxy()
    const process = new FakeProcess({ start: async () => running })
    const ended = process.run(flags)
    await expect.poll(() => process.listenerCount).toBe(1)
    process.interrupt()
    await expect.poll(() => stops).toEqual([true])
    drained.resolve()
    expect(await ended).toBe(0)
    expect(process.listenerCount).toBe(0)
  })

  it('stops at once at the second signal', async () => {
    const { running, stops } = fakeProxy()
    const process = new FakeProcess({ start: async () => running })
    const ended = process.run(flags)
    await expect.poll(() => process.listenerCount).toBe(1)
    process.interrupt()
    await expect.poll(() => stops).toEqual([true])
    process.interrupt()
    expect(await ended).toBe(0)
    expect(stops).toEqual([true, false])
  })

  it('ends with 0 when the signal comes while it is starting', async () => {
    const process = new FakeProcess({ start: () => new Promise(() => {}) })
    const ended = process.run(flags)
    await expect.poll(() => process.listenerCount).toBe(1)
    process.interrupt()
    expect(await ended).toBe(0)
  })

  it('reads the configuration again at SIGHUP, and goes on whatever comes of it', async () => {
    const { running, reloads, drained } = fakeProxy()
    const reload = (): void => {
      reloads.push('reload')
      if (reloads.length > 1) throw new ConfigError('listen', 'is wrong')
    }
    const process = new FakeProcess({ start: async () => ({ ...running, reload }) })
    const ended = process.run(flags)
    // What comes while it starts is done when it has started.
    await expect.poll(() => process.listenerCount).toBe(1)
    process.hangUp()
    await expect.poll(() => reloads.length).toBe(1)
    process.hangUp()
    expect(reloads).toHaveLength(2)
    drained.resolve()
    process.interrupt()
    expect(await ended).toBe(0)
    expect(process.err).toEqual([])
  })

  it('hands the proxy the way to read its configuration again', async () => {
    const { running, stopped } = fakeProxy()
    const process = new FakeProcess({
      start: async (config, _logger, readConfig) => {
        expect(readConfig()).toEqual(config)
        return running
      },
    })
    const ended = process.run(flags)
    stopped.resolve()
    expect(await ended).toBe(0)
  })

  it('ends with 0 when the proxy was stopped from within', async () => {
    const { running, stops, stopped } = fakeProxy()
    const process = new FakeProcess({ start: async () => running })
    const ended = process.run(flags)
    await expect.poll(() => process.listenerCount).toBe(1)
    stopped.resolve()
    expect(await ended).toBe(0)
    expect(stops).toEqual([])
    expect(process.listenerCount).toBe(0)
  })

  it('tells an occupied port with its way out', async () => {
    const start = async (): Promise<never> => {
      throw Object.assign(new Error('listen EADDRINUSE: address already in use 127.0.0.1:6432'), {
        code: 'EADDRINUSE',
        address: '127.0.0.1',
        port: 6432,
      })
    }
    const process = new FakeProcess({ start })
    expect(await process.run(flags)).toBe(1)
    expect(process.err).toEqual([
      '127.0.0.1:6432: the port is in use; stop what listens there or choose another with --listen',
    ])
  })
})

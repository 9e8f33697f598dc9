import { strict as assert } from 'node:assert'
import { createServer, type AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import { UpstreamUnavailable } from './upstream-connection.ts'
import { UpstreamHost } from './upstream-host.ts'

const waitMs = 10_000
const addresses = (...texts: string[]) => texts.map(address => ({ address, family: 4 }))

async function listening(): Promise<{ port: number; close: () => void }> {
  const server = createServer(socket => socket.end())
  await new Promise<void>(resolve => {
    server.listen(0, '127.0.0.1', resolve)
  })
  return { port: (server.address() as AddressInfo).port, close: () => server.close() }
}

describe('UpstreamHost', () => {
  test('tries each address of a name', async () => {
    const { port, close } = await listening()
    const host = new UpstreamHost('mta.test', port, (_host, _options, done) =>
      done(null, addresses('127.0.0.9', '127.0.0.1')),
    )
    const socket = await host.connect(waitMs)
    assert.equal(socket.remoteAddress, '127.0.0.1')
    socket.destroy()
    close()
  })

  test('says why, of each address', async () => {
    const { port, close } = await listening()
    const host = new UpstreamHost('mta.test', port, (_host, _options, done) =>
      done(null, addresses('127.0.0.8', '127.0.0.9')),
    )
    await assert.rejects(host.connect(waitMs), (error: Error) => {
      assert.ok(error instanceof UpstreamUnavailable)
      return /ECONNREFUSED 127\.0\.0\.8.*ECONNREFUSED 127\.0\.0\.9/.test(error.message)
    })
    close()
  })

  test('an address is not looked up', async () => {
    const { port, close } = await listening()
    const host = new UpstreamHost('127.0.0.1', port, () => assert.fail('looked up'))
    const socket = await host.connect(waitMs)
    socket.destroy()
    close()
  })

  test('those who connect at a time share a lookup; while none succeeds the last one counts', async () => {
    const { port, close } = await listening()
    let lookups = 0
    const away = new Error('getaddrinfo EAI_AGAIN mta.test')
    let isAway = false
    const host = new UpstreamHost('mta.test', port, (_host, _options, done) => {
      lookups++
      setImmediate(() => (isAway ? done(away, []) : done(null, addresses('127.0.0.1'))))
    })
    const sockets = await Promise.all([host.connect(waitMs), host.connect(waitMs), host.connect(waitMs)])
    assert.equal(lookups, 1)
    isAway = true
    sockets.push(await host.connect(waitMs))
    assert.equal(lookups, 2)
    for (const socket of sockets) socket.destroy()
    const other = new UpstreamHost('mta.test', port, (_host, _options, done) => done(away, []))
    await assert.rejects(other.connect(waitMs), /EAI_AGAIN/)
    close()
  })

  test('does not wait for ever', async () => {
    const host = new UpstreamHost('mta.test', 1, () => undefined)
    await assert.rejects(host.connect(20), /connecting took too long/)
  })
})

/** How requests travel: HTTP/2, proxies from the environment, keep-alive, answers that never end. */
import assert from 'node:assert/strict'
import { createServer as createHttpServer, request as requestHttp } from 'node:http'
import { createSecureServer } from 'node:http2'
import { type AddressInfo, connect, type Server } from 'node:net'
import { afterEach, beforeEach, test } from 'node:test'
import { openTransport } from '../../lib/event/upload/transport.ts'
import { makeCertificate } from '../support/certificate.ts'
import { until } from '../support/process.ts'
import { arrived, type Rig, setUp } from './rig.ts'

const open: Server[] = []
afterEach(() => {
  for (const server of open.splice(0)) server.close()
})

async function listening(server: Server): Promise<number> {
  open.push(server)
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return (server.address() as AddressInfo).port
}

test('a server that speaks HTTP/2 is spoken to in HTTP/2, its certificate checked', async () => {
  const rig = await setUp()
  try {
    const certificate = makeCertificate()
    const versions: string[] = []
    const server = createSecureServer(
      { cert: certificate.cert, key: certificate.key, allowHTTP1: true },
      (request, response) => {
        versions.push(request.httpVersion)
        request.resume().on('end', () => response.end('{"results":{"id":"b"}}'))
      },
    )
    const endpoint = `--endpoint=https://localhost:${await listening(server)}`
    await rig.issue(5)
    const distrusting = await rig.feeder([endpoint])
    await until('the certificate to be refused', () => /SELF_SIGNED|DEPTH_ZERO/.test(distrusting.output.stdout))
    await distrusting.stop()
    assert.equal(await rig.waiting(), 5)
    await rig.feeder([endpoint], { NODE_EXTRA_CA_CERTS: certificate.certFile })
    await until('the queue to be empty', async () => (await rig.waiting()) === 0)
    assert.deepEqual(new Set(versions), new Set(['2.0']))
  } finally {
    await rig.stop()
  }
})

let rig: Rig
beforeEach(async () => {
  rig = await setUp()
})
afterEach(() => rig.stop())

test('requests go through the proxy that the environment names', async () => {
  const asked: string[] = []
  // Plain http goes by the absolute form of the URL, https by CONNECT.
  const proxy = createHttpServer((request, response) => {
    asked.push(`${request.method} ${request.url}`)
    const { method, headers, url = '' } = request
    const onward = requestHttp(url, { method, headers }, answer => {
      response.writeHead(answer.statusCode ?? 500, answer.headers)
      answer.pipe(response)
    })
    request.pipe(onward)
  })
  const port = await listening(proxy)
  const issued = await rig.issue(5)
  await rig.feeder([], { HTTP_PROXY: `http://user:canary-password@127.0.0.1:${port}`, NO_PROXY: '' })
  await arrived(rig, issued)
  assert.deepEqual(new Set(asked), new Set([`POST ${rig.endpoint.url}/api/v1/ingest/events`]))
})

test('https goes through the proxy in a tunnel', async () => {
  const certificate = makeCertificate()
  const server = createSecureServer(
    { cert: certificate.cert, key: certificate.key, allowHTTP1: true },
    (request, response) => {
      request.resume().on('end', () => response.end('{"results":{"id":"b"}}'))
    },
  )
  const target = await listening(server)
  const tunnels: string[] = []
  const proxy = createHttpServer().on('connect', (request, socket) => {
    tunnels.push(`${request.url} ${request.headers['proxy-authorization']}`)
    const onward = connect(target, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      onward.pipe(socket).pipe(onward)
    })
    for (const end of [onward, socket]) end.on('error', () => end.destroy())
  })
  await rig.issue(5)
  await rig.feeder([`--endpoint=https://localhost:${target}`], {
    NODE_EXTRA_CA_CERTS: certificate.certFile,
    HTTPS_PROXY: `http://user:password@127.0.0.1:${await listening(proxy)}`,
  })
  await until('the queue to be empty', async () => (await rig.waiting()) === 0)
  const basic = Buffer.from('user:password').toString('base64')
  assert.deepEqual(new Set(tunnels), new Set([`localhost:${target} Basic ${basic}`]))
})

test('NO_PROXY keeps requests from the proxy, and a proxy that is away costs nothing but time', async () => {
  const issued = await rig.issue(5)
  const env = { HTTP_PROXY: 'http://user:canary-password@127.0.0.1:1' }
  const feeder = await rig.feeder([], env)
  await until('a failure', () => feeder.output.stdout.includes('upload failed, kept'))
  assert.ok(!feeder.output.stdout.includes('canary'), 'the password of the proxy in the log')
  await feeder.stop()
  await rig.feeder([], { ...env, NO_PROXY: '127.0.0.1' })
  await arrived(rig, issued)
})

test('connections are kept open', async () => {
  let connections = 0
  const server = createHttpServer((request, response) => request.resume().on('end', () => response.end('{}')))
  server.on('connection', () => (connections += 1))
  const url = `http://127.0.0.1:${await listening(server)}/`
  const transport = openTransport({}, {})
  for (let n = 0; n < 20; n++) await transport.send({ method: 'POST', url, headers: {}, body: Buffer.from('x') })
  await transport.close()
  assert.ok(connections <= 3, `${connections} connections for 20 requests`)
})

test('an answer without end is read to its bound and no further', async () => {
  const server = createHttpServer((_, response) => {
    const write = () => {
      while (!response.destroyed && response.write(Buffer.alloc(64 * 1024, 'x')));
      if (!response.destroyed) response.once('drain', write)
    }
    write()
  })
  const url = `http://127.0.0.1:${await listening(server)}/`
  const transport = openTransport({ timeoutMs: 5_000 }, {})
  const answer = await transport.send({ method: 'GET', url, headers: {} })
  assert.equal(answer.body.length, 64 * 1024)
  await transport.close()
})

test('an answer that stands still is given up in time', async () => {
  const server = createHttpServer((_, response) => {
    response.write('{')
  })
  const url = `http://127.0.0.1:${await listening(server)}/`
  const transport = openTransport({ timeoutMs: 300 }, {})
  await assert.rejects(transport.send({ method: 'GET', url, headers: {} }), /no answer within 0.3 s/)
  server.closeAllConnections()
  await transport.close()
})

/** TLS on both sides, and credentials that pass through. */
import { strict as assert } from 'node:assert'
import { connect as connectTls, createSecureContext, type TLSSocket } from 'node:tls'
import { after, afterEach, before, describe, test } from 'node:test'
import { makeCertificate, type TestCertificate } from '../support/certificate.ts'
import { until } from '../support/process.ts'
import { sized } from '../support/soak.ts'
import { Peer } from './peer.ts'
import { startRig, type Rig, type RigOptions } from './rig.ts'
import { SinkUpstream } from './sink-upstream.ts'

let certificate: TestCertificate
let sink: SinkUpstream
let rig: Rig
before(() => {
  certificate = makeCertificate()
})
const start = async (options: Partial<RigOptions> = {}, keywords = ['PIPELINING', 'AUTH PLAIN LOGIN XOAUTH2']) => {
  sink = await SinkUpstream.start(keywords)
  rig = await startRig({ upstreamPort: sink.port, ...options })
}
afterEach(async () => {
  await sink.close()
  await rig.close()
  assert.deepEqual(rig.faults, [])
})
after(() => undefined)

async function hello(client: Peer): Promise<string[]> {
  client.say('EHLO client.test\r\n')
  return client.reply()
}

/** The same connection, from now on encrypted. */
async function secured(client: Peer): Promise<Peer> {
  client.socket.removeAllListeners('data')
  const socket: TLSSocket = connectTls({ socket: client.socket, rejectUnauthorized: false })
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', () => resolve())
    socket.once('error', reject)
    client.socket.once('close', () => reject(new Error('closed during the handshake')))
  })
  return new Peer(socket)
}

const base64 = (text: string) => Buffer.from(text).toString('base64')

describe('TLS towards clients', () => {
  test('STARTTLS: offered with a certificate, once, and everything before it is forgotten', async () => {
    await start({ certificate })
    const plain = await Peer.connect(rig.port)
    await plain.reply()
    assert.ok((await hello(plain)).some(line => line.endsWith('STARTTLS')))
    assert.match(await plain.ask('MAIL FROM:<a@b.test>'), /^250 /)
    assert.match(await plain.ask('STARTTLS x'), /^501 /)
    assert.match(await plain.ask('STARTTLS'), /^220 /)
    const client = await secured(plain)
    assert.match(await client.ask('MAIL FROM:<a@b.test>'), /^503 5\.5\.1 Send HELO or EHLO first/)
    assert.ok(!(await hello(client)).some(line => line.endsWith('STARTTLS')))
    assert.match(await client.ask('STARTTLS'), /^503 /)
    for (const command of ['MAIL FROM:<a@b.test>', 'RCPT TO:<c@d.test>', 'DATA', 'x\r\n.']) await client.ask(command)
    assert.equal(sink.accepted.length, 1)
    client.socket.destroy()
  })

  test('what came in plain text behind STARTTLS is never executed', async () => {
    await start({ certificate })
    const ways = ['same segment', 'two segments', 'many lines']
    for (const how of Array.from({ length: sized(3, 1000) }, (_, round) => ways[round % ways.length])) {
      const plain = await Peer.connect(rig.port)
      await plain.reply()
      await hello(plain)
      const injected =
        how === 'many lines' ? 'NOOP\r\n'.repeat(500) + 'RSET\r\n' : 'MAIL FROM:<evil@b.test>\r\nRCPT TO:<x@d.test>\r\n'
      if (how === 'same segment' || how === 'many lines') plain.say(`STARTTLS\r\n${injected}`)
      else {
        plain.say('STARTTLS\r\n')
        plain.say(injected)
      }
      assert.match((await plain.reply()).at(-1)!, /^220 /)
      try {
        const client = await secured(plain)
        // Whatever comes first must be the answer to this.
        assert.match(await client.ask('NOOP'), /^250 2\.0\.0 Ok/)
        client.socket.destroy()
      } catch (error) {
        // Plain text within the handshake breaks it, which is as good.
        assert.doesNotMatch((error as Error).message, /waited/)
      }
      plain.socket.destroy()
    }
    assert.deepEqual(
      sink.commands.filter(command => /MAIL|RCPT/.test(command)),
      [],
    )
  })

  test('TLS from the first byte', async () => {
    await start({ certificate, implicitTls: true })
    const socket = connectTls({ port: rig.port, host: '127.0.0.1', rejectUnauthorized: false })
    await new Promise<void>(resolve => {
      socket.once('secureConnect', () => resolve())
    })
    const client = new Peer(socket)
    assert.match((await client.reply()).at(-1)!, /^220 /)
    const lines = await hello(client)
    assert.ok(!lines.some(line => line.endsWith('STARTTLS')))
    assert.ok(lines.some(line => line.includes('AUTH PLAIN')))
    client.socket.destroy()
  })

  test('no handshake but something else: the connection ends, the relay goes on', async () => {
    await start({ certificate })
    for (const garbage of ['EHLO client.test\r\n', '\x16\x03\x01\0\x05hello', '']) {
      const plain = await Peer.connect(rig.port)
      await plain.reply()
      await hello(plain)
      assert.match(await plain.ask('STARTTLS'), /^220 /)
      if (garbage === '') plain.socket.destroy()
      else plain.say(garbage)
      await plain.closed()
    }
    await until('the connections to be gone', () => rig.server.connections === 0)
    await rig.close()
    rig = await startRig({ upstreamPort: sink.port, certificate, implicitTls: true })
    for (const garbage of ['EHLO client.test\r\n', '']) {
      const plain = await Peer.connect(rig.port)
      if (garbage === '') plain.socket.destroy()
      else plain.say(garbage)
      await plain.closed()
      assert.doesNotMatch(plain.unread, /220/)
    }
    await until('the connections to be gone', () => rig.server.connections === 0)
  })

  test('a certificate is renewed for new connections', async () => {
    await start({ certificate })
    const renewed = makeCertificate('renewed.test')
    rig.server.useCertificate(renewed)
    const plain = await Peer.connect(rig.port)
    await plain.reply()
    await hello(plain)
    await plain.ask('STARTTLS')
    const client = await secured(plain)
    assert.equal((client.socket as TLSSocket).getPeerCertificate().subject.CN, 'renewed.test')
    client.socket.destroy()
  })
})

describe('TLS towards the upstream', () => {
  const deliver = async () => {
    const client = await Peer.connect(rig.port)
    await client.reply()
    const greeted = await hello(client)
    if (!greeted[0]!.startsWith('250')) return greeted.at(-1)!
    for (const command of ['MAIL FROM:<a@b.test>', 'RCPT TO:<c@d.test>', 'DATA']) await client.ask(command)
    const reply = await client.ask('x\r\n.')
    client.socket.destroy()
    return reply
  }
  const offerTls = () => (sink.secureContext = createSecureContext(certificate))

  test('opportunistic: used where offered, and the lack of a valid certificate is no matter on loopback', async () => {
    await start({ upstreamTls: 'opportunistic' })
    assert.match(await deliver(), /^250 /)
    assert.ok(!sink.commands.includes('STARTTLS'))
    await rig.close()
    offerTls()
    rig = await startRig({ upstreamPort: sink.port, upstreamTls: 'opportunistic' })
    assert.match(await deliver(), /^250 /)
    assert.ok(sink.commands.includes('STARTTLS'))
  })

  test('none: not used though offered', async () => {
    await start({ upstreamTls: 'none' })
    offerTls()
    assert.match(await deliver(), /^250 /)
    assert.ok(!sink.commands.includes('STARTTLS'))
  })

  test('required: nothing goes without, nor with a certificate that is not valid', async () => {
    await start({ upstreamTls: 'required' })
    sink.misbehave = command => (command === 'STARTTLS' ? '454 4.7.0 not now' : undefined)
    assert.match(await deliver(), /^421 4\.3\.2 /)
    sink.misbehave = () => undefined
    offerTls()
    assert.match(await deliver(), /^421 4\.3\.2 /)
    assert.equal(sink.accepted.length, 0)
    await rig.close()
    rig = await startRig({ upstreamPort: sink.port, upstreamTls: 'required', insecure: true })
    assert.match(await deliver(), /^250 /)
  })

  test('the reason of a TLS failure is told in words', async () => {
    const troubles: (string | undefined)[] = []
    await start({ upstreamTls: 'implicit', onUpstream: trouble => troubles.push(trouble) })
    const client = await Peer.connect(rig.port)
    await client.reply()
    assert.match(await client.ask('EHLO client.test'), /^421 4\.3\.2 /)
    assert.deepEqual(troubles, ['TLS: wrong version number'])
  })

  test('what the upstream said in plain text behind its answer to STARTTLS is forgotten', async () => {
    await start({ upstreamTls: 'required', insecure: true })
    offerTls()
    sink.misbehave = command => (command === 'STARTTLS' ? '220 go\r\n250-injected\r\n250 AUTH PLAIN' : undefined)
    const reply = await deliver()
    assert.match(reply, /^(?:250|421) /)
    const client = await Peer.connect(rig.port)
    await client.reply()
    assert.ok(!(await hello(client)).some(line => line.includes('injected')))
    client.socket.destroy()
  })
})

describe('AUTH', () => {
  test('what is no answer to AUTH is not passed on: nobody is who was not taken for it', async () => {
    await start()
    for (const reply of ['250 2.0.0 Ok', '354 go ahead']) {
      sink.misbehave = command => (command.startsWith('AUTH') ? reply : undefined)
      const client = await Peer.connect(rig.port)
      await client.reply()
      await hello(client)
      assert.match(await client.ask(`AUTH PLAIN ${base64('\0user\0right')}`), /^451 4\.4\.2 /)
      client.socket.destroy()
    }
  })

  const ways: Readonly<Record<string, readonly (readonly [string, RegExp])[]>> = {
    'PLAIN at once': [[`AUTH PLAIN ${base64('\0user\0right')}`, /^235 2\.7\.0 Authentication successful/]],
    'PLAIN in two steps': [
      ['AUTH PLAIN', /^334 ?$/],
      [base64('\0user\0right'), /^235 /],
    ],
    LOGIN: [
      ['AUTH LOGIN', /^334 VXNlcm5hbWU6/],
      [base64('user'), /^334 UGFzc3dvcmQ6/],
      [base64('right'), /^235 /],
    ],
    'LOGIN with the name at once': [
      [`auth login ${base64('user')}`, /^334 UGFzc3dvcmQ6/],
      [base64('right'), /^235 /],
    ],
    'LOGIN with a space behind it': [
      ['AUTH LOGIN ', /^334 VXNlcm5hbWU6/],
      [base64('user'), /^334 UGFzc3dvcmQ6/],
      [base64('right'), /^235 /],
    ],
    XOAUTH2: [[`AUTH XOAUTH2 ${base64('user=user\x01auth=Bearer right\x01\x01')}`, /^235 /]],
  }
  for (const [what, lines] of Object.entries(ways)) {
    test(`${what}: passed through, and the mail goes under this identity`, async () => {
      await start()
      const client = await Peer.connect(rig.port)
      await client.reply()
      assert.ok((await hello(client)).includes('250 AUTH PLAIN LOGIN XOAUTH2'))
      for (const [line, reply] of lines) assert.match(await client.ask(line), reply)
      assert.ok(!(await hello(client)).some(line => line.includes('AUTH')))
      assert.match(await client.ask('AUTH PLAIN AGEAYg=='), /^503 /)
      for (let mail = 0; mail < 2; mail++) {
        for (const command of ['MAIL FROM:<a@b.test>', 'RCPT TO:<c@d.test>', 'DATA', 'x\r\n.'])
          await client.ask(command)
      }
      assert.deepEqual(
        sink.accepted.map(({ user }) => user),
        ['user', 'user'],
      )
      assert.ok(!rig.conversation.join('').includes(base64('right').slice(0, 6)), 'no password in the conversation')
      assert.ok(!rig.conversation.join('').includes(base64('\0user\0right').slice(0, 8)))
      client.socket.end()
    })
  }

  test('an identity is never shared', async () => {
    await start()
    const client = await Peer.connect(rig.port)
    await client.reply()
    await hello(client)
    await client.ask(`AUTH PLAIN ${base64('\0user\0right')}`)
    for (const command of ['MAIL FROM:<a@b.test>', 'RCPT TO:<c@d.test>', 'DATA', 'x\r\n.']) await client.ask(command)
    const other = await Peer.connect(rig.port)
    await other.reply()
    await hello(other)
    for (const command of ['MAIL FROM:<a@b.test>', 'RCPT TO:<c@d.test>', 'DATA', 'x\r\n.']) await other.ask(command)
    assert.match(await client.ask('QUIT'), /^221 /)
    await until('the session to end', () => rig.server.sessions === 1)
    for (const command of ['MAIL FROM:<a@b.test>', 'RCPT TO:<c@d.test>', 'DATA', 'x\r\n.']) await other.ask(command)
    assert.deepEqual(
      sink.accepted.map(({ user }) => user),
      ['user', undefined, undefined],
    )
    other.socket.destroy()
  })

  test('a refusal is passed on; after three the session ends, after ten the address waits', async () => {
    await start({ limits: { authFailureDelayMs: 1 } })
    const wrong = `AUTH PLAIN ${base64('\0user\0wrong')}`
    for (let session = 0; session < 3; session++) {
      const client = await Peer.connect(rig.port)
      await client.reply()
      await hello(client)
      assert.equal(await client.ask(wrong), '535 5.7.8 Error: authentication failed')
      assert.equal(await client.ask(wrong), '535 5.7.8 Error: authentication failed')
      assert.match(await client.ask(wrong), /^421 4\.7\.0 /)
      await client.closed()
    }
    const client = await Peer.connect(rig.port)
    await client.reply()
    await hello(client)
    assert.match(await client.ask(wrong), /^421 4\.7\.0 /)
    const last = await Peer.connect(rig.port)
    await last.reply()
    await hello(last)
    assert.match(await last.ask(`AUTH PLAIN ${base64('\0user\0right')}`), /^421 4\.7\.0 /)
    assert.equal(sink.commands.filter(command => command.startsWith('AUTH')).length, 10)
  })

  test('the client gives up, or sends what is no base64', async () => {
    await start({ limits: { authFailureDelayMs: 1, authFailuresMax: 100 } })
    const client = await Peer.connect(rig.port)
    await client.reply()
    await hello(client)
    assert.match(await client.ask('AUTH PLAIN'), /^334/)
    assert.match(await client.ask('*'), /^501 5\.7\.0 /)
    assert.match(await client.ask('AUTH LOGIN'), /^334/)
    assert.match(await client.ask('MAIL FROM:<x@y>'), /^501 5\.5\.2 /)
    assert.match(await client.ask('AUTH CRAM-MD5'), /^504 5\.5\.4 /)
    assert.match(await client.ask('AUTH'), /^501 /)
    assert.match(await client.ask('MAIL FROM:<a@b.test>'), /^250 /)
    assert.match(await client.ask('AUTH PLAIN AGEAYg=='), /^503 /)
    client.socket.destroy()
  })

  test('the upstream ends the session of an identity: the client has to come again', async () => {
    await start()
    const client = await Peer.connect(rig.port)
    await client.reply()
    await hello(client)
    await client.ask(`AUTH PLAIN ${base64('\0user\0right')}`)
    sink.misbehave = command => (command.startsWith('MAIL') ? 'drop' : undefined)
    assert.match(await client.ask('MAIL FROM:<a@b.test>'), /^451 4\.4\.2 /)
    await client.ask('RSET')
    sink.misbehave = () => undefined
    assert.match(await client.ask('MAIL FROM:<a@b.test>'), /^421 4\.4\.2 /)
    await client.closed()
    assert.equal(sink.accepted.length, 0)
  })

  test('lets an outsider relay, which nothing else does', async () => {
    await start({ allowNetworks: ['192.0.2.1'] })
    const client = await Peer.connect(rig.port)
    await client.reply()
    await hello(client)
    assert.match(await client.ask('MAIL FROM:<a@b.test>'), /^530 5\.7\.0 /)
    assert.ok(!sink.commands.some(command => command.startsWith('MAIL')))
    await client.ask(`AUTH PLAIN ${base64('\0user\0right')}`)
    await client.ask('MAIL FROM:<a@b.test>')
    assert.match(await client.ask('RCPT TO:<c@d.test>'), /^250 /)
    client.socket.destroy()
  })

  test('credentials never go in plain text, but on loopback', () => {
    return (async () => {
      await start({ certificate })
      const { server } = rig
      assert.ok(server.authAllowed(false, '127.0.0.1', false))
      assert.ok(!server.authAllowed(false, '192.0.2.1', true))
      assert.ok(server.authAllowed(true, '192.0.2.1', false), 'the upstream is on loopback here')
    })()
  })
})

/** Every limit at one less, exactly, and one more. */
import { strict as assert } from 'node:assert'
import { connect } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { afterEach, describe, test } from 'node:test'
import { until } from '../support/process.ts'
import { sized } from '../support/soak.ts'
import { Peer } from './peer.ts'
import { startRig, type Rig, type RigOptions } from './rig.ts'
import { SinkUpstream } from './sink-upstream.ts'

let sink: SinkUpstream
let rig: Rig
const peers: Peer[] = []
const start = async (options: Partial<RigOptions> = {}, keywords?: string[]) => {
  sink = await SinkUpstream.start(keywords)
  rig = await startRig({ upstreamPort: sink.port, ...options })
}
afterEach(async () => {
  for (const peer of peers.splice(0)) peer.socket.destroy()
  await sink.close()
  await rig.close()
  assert.deepEqual(rig.faults, [])
})

async function open(): Promise<Peer> {
  const peer = await Peer.connect(rig.port)
  peers.push(peer)
  return peer
}
async function greeted(): Promise<Peer> {
  const peer = await open()
  assert.match((await peer.reply()).at(-1)!, /^220 /)
  assert.match(await peer.ask('EHLO client.test'), /^250 /)
  return peer
}
async function toData(client: Peer): Promise<void> {
  for (const command of ['MAIL FROM:<a@b.test>', 'RCPT TO:<c@d.test>']) {
    assert.match(await client.ask(command), /^250 /)
  }
  assert.match(await client.ask('DATA'), /^354 /)
}
/** A message of exactly this many bytes. */
const messageOf = (bytes: number) => `${'x'.repeat(bytes - 2)}\r\n`

describe('limits', () => {
  test('connections: 421 4.3.2, and a place that is left is free at once', async () => {
    await start({ limits: { connectionsMax: 3 } })
    const first = await greeted()
    await greeted()
    await greeted()
    const fourth = await open()
    assert.match((await fourth.reply()).at(-1)!, /^421 4\.3\.2 /)
    await fourth.closed()
    // The place is free when the client has read the farewell.
    assert.match(await first.ask('QUIT'), /^221 /)
    await greeted()
  })

  test('connections of one address, unless it may relay: 421 4.7.0', async () => {
    await start({ limits: { connectionsPerAddressMax: 2 }, allowNetworks: ['192.0.2.0/24'] })
    await greeted()
    const second = await greeted()
    const third = await open()
    assert.match((await third.reply()).at(-1)!, /^421 4\.7\.0 /)
    second.socket.destroy()
    await until('the place to be free', () => rig.server.sessions === 1)
    await greeted()
    await rig.close()
    rig = await startRig({ upstreamPort: sink.port, limits: { connectionsPerAddressMax: 2 } })
    for (let count = 0; count < 4; count++) await greeted()
  })

  test('size: announced, at MAIL, and of what comes', async () => {
    await start({ limits: { messageBytesMax: 10_000 } })
    const client = await open()
    await client.reply()
    client.say('EHLO client.test\r\n')
    assert.ok((await client.reply()).some(line => line.endsWith('SIZE 10000')))
    assert.match(await client.ask('MAIL FROM:<a@b.test> SIZE=10001'), /^552 5\.3\.4 /)
    assert.match(await client.ask('MAIL FROM:<a@b.test> SIZE=10000'), /^250 /)
    await client.ask('RSET')
    for (const [bytes, reply] of [
      [9_999, /^250 /],
      [10_000, /^250 /],
      [10_001, /^552 5\.3\.4 /],
      [50_000, /^552 5\.3\.4 /],
      [10_000, /^250 /],
    ] as const) {
      await toData(client)
      client.say(messageOf(bytes))
      assert.match(await client.ask('.'), reply, String(bytes))
    }
    assert.equal(sink.accepted.length, 3)
  })

  test("size: the upstream's limit is ours when it is smaller", async () => {
    await start({}, ['SIZE 500'])
    const client = await greeted()
    for (const [bytes, reply] of [
      [500, /^250 /],
      [501, /^552 5\.3\.4 /],
    ] as const) {
      await toData(client)
      client.say(messageOf(bytes))
      assert.match(await client.ask('.'), reply, String(bytes))
    }
  })

  test('recipients: 452 4.5.3 to each too many, those before are served', async () => {
    await start({ limits: { recipientsMax: 3 }, multiRecipient: 'shared' })
    const client = await greeted()
    await client.ask('MAIL FROM:<a@b.test>')
    const replies = []
    for (let at = 0; at < 5; at++) replies.push((await client.ask(`RCPT TO:<r${at}@d.test>`)).slice(0, 9))
    assert.deepEqual(replies, ['250 2.1.5', '250 2.1.5', '250 2.1.5', '452 4.5.3', '452 4.5.3'])
    await client.ask('DATA')
    assert.match(await client.ask('x\r\n.'), /^250 /)
    assert.equal(sink.accepted[0]?.rcpts.length, 3)
  })

  test('Received fields: 554 5.4.6', async () => {
    await start({ limits: { receivedFieldsMax: 3 } })
    const client = await greeted()
    for (const [count, reply] of [
      [2, /^250 /],
      [3, /^250 /],
      [4, /^554 5\.4\.6 /],
    ] as const) {
      await toData(client)
      client.say(`${'Received: from x by y\r\n'.repeat(count)}\r\nReceived: in the body\r\n`)
      assert.match(await client.ask('.'), reply, String(count))
    }
    assert.equal(sink.accepted.length, 2)
  })

  test('command line: 500 5.5.2 and the end', async () => {
    await start({ limits: { commandBytesMax: 100 } })
    for (const [bytes, reply] of [
      [99, /^250 /],
      [100, /^250 /],
      [101, /^500 5\.5\.2 Command line too long/],
    ] as const) {
      const client = await greeted()
      assert.match(await client.ask(`NOOP${' '.repeat(bytes - 5)}`), reply, String(bytes))
    }
    const client = await greeted()
    client.say('x'.repeat(200))
    assert.match((await client.reply()).at(-1)!, /^500 5\.5\.2 /)
    await client.closed()
  })

  test('AUTH lines may be longer', async () => {
    await start({ limits: { commandBytesMax: 100, authLineBytesMax: 1000, authFailureDelayMs: 1 } }, ['AUTH PLAIN'])
    for (const [bytes, reply] of [
      [1000, /^535 /],
      [1001, /^500 5\.5\.2 /],
    ] as const) {
      const client = await greeted()
      assert.match(await client.ask('AUTH PLAIN'), /^334/)
      assert.match(await client.ask('A'.repeat(bytes - 1)), reply, String(bytes))
      // Clients send a token with the command when they have one.
      assert.match(await (await greeted()).ask(`auth PLAIN ${'A'.repeat(bytes - 12)}`), reply, String(bytes))
    }
  })

  test('errors without a message in between: 421 4.7.0', async () => {
    await start({ limits: { errorsMax: 3 } })
    const client = await greeted()
    const wrong = async (times: number) => {
      let last = ''
      for (let count = 0; count < times; count++) last = await client.ask('WRONG')
      return last
    }
    assert.match(await wrong(3), /^500 /)
    await toData(client)
    assert.match(await client.ask('x\r\n.'), /^250 /)
    assert.match(await wrong(3), /^500 /)
    assert.match(await client.ask('WRONG'), /^500 /)
    assert.match((await client.reply()).at(-1)!, /^421 4\.7\.0 /)
    await client.closed()
  })

  test('commands that lead nowhere: 421 4.7.0', async () => {
    await start({ limits: { idleCommandsMax: 5 } })
    const client = await greeted()
    for (let count = 0; count < 6; count++) assert.match(await client.ask('NOOP'), /^250 /)
    assert.match((await client.reply()).at(-1)!, /^421 4\.7\.0 /)
  })

  test('mail at once: 452 4.3.1', async () => {
    await start({ limits: { collectedBytesMax: 10_000 } })
    const first = await greeted()
    await toData(first)
    first.say(messageOf(9_000))
    const { collected } = rig.server.context
    await until('the message to be held', () => collected.bytes > 8_000)
    const second = await greeted()
    await toData(second)
    second.say(messageOf(2_000))
    assert.match(await second.ask('.'), /^452 4\.3\.1 /)
    assert.match(await first.ask('.'), /^250 /)
    await toData(second)
    second.say(messageOf(2_000))
    assert.match(await second.ask('.'), /^250 /)
    assert.equal(collected.bytes, 0)
  })
})

describe('slow clients', () => {
  test('idle: 421 4.4.2', async () => {
    await start({ limits: { idleMs: 500 } })
    const client = await greeted()
    const begun = performance.now()
    assert.match((await client.reply()).at(-1)!, /^421 4\.4\.2 /)
    assert.ok(performance.now() - begun >= 450)
    await client.closed()
  })

  test('idle while most places are taken: sooner', async () => {
    await start({ limits: { idleMs: 60_000, stressIdleMs: 300, connectionsMax: 5 } })
    const clients = [await greeted(), await greeted(), await greeted(), await greeted()]
    // As many as it takes to be below four fifths of the places.
    const farewell = await Promise.any(
      clients.map(async client => {
        const line = (await client.reply()).at(-1)
        if (line === undefined) throw new Error('closed without a word')
        return line
      }),
    )
    assert.match(farewell, /^421 4\.4\.2 /)
    await until('one to be gone', () => rig.server.sessions === 3)
  })

  test('a command byte by byte: 421 4.4.2', async () => {
    await start({ limits: { idleMs: 60_000, commandMs: 500 } })
    const client = await greeted()
    const trickle = setInterval(() => client.say('N'), 50)
    assert.match((await client.reply()).at(-1)!, /^421 4\.4\.2 /)
    clearInterval(trickle)
  })

  test('a message byte by byte: the end, and nothing goes on', async () => {
    await start({ limits: { dataGraceMs: 300, dataBytesPerSecondMin: 500 } })
    const client = await greeted()
    await toData(client)
    const trickle = setInterval(() => client.say('x'), 20)
    await client.closed()
    clearInterval(trickle)
    await until('the upstream to see the end', () => sink.unfinished === 1)
    assert.equal(sink.accepted.length, 0)
  })

  test('a message that is fast enough is taken', async () => {
    await start({ limits: { dataGraceMs: 300, dataBytesPerSecondMin: 500 } })
    const client = await greeted()
    await toData(client)
    for (let part = 0; part < 10; part++) {
      client.say(messageOf(100))
      await new Promise(resolve => setTimeout(resolve, 80))
    }
    assert.match(await client.ask('.'), /^250 /)
  })

  test('a message that never ends: the end', async () => {
    await start({ limits: { messageMs: 500 } })
    const client = await greeted()
    await toData(client)
    const stream = setInterval(() => client.say(messageOf(2000)), 20)
    await client.closed()
    clearInterval(stream)
    assert.equal(sink.accepted.length, 0)
  })

  test('a TLS handshake that does not come', async () => {
    const { makeCertificate } = await import('../support/certificate.ts')
    await start({ limits: { handshakeMs: 400 }, certificate: makeCertificate() })
    const client = await greeted()
    assert.match(await client.ask('STARTTLS'), /^220 /)
    await client.closed()
    await until('the session to end', () => rig.server.sessions === 0)
  })

  test('a TLS handshake that does not come, where TLS comes first', async () => {
    const { makeCertificate } = await import('../support/certificate.ts')
    await start({ limits: { handshakeMs: 400 }, certificate: makeCertificate(), implicitTls: true })
    const client = await open()
    await client.closed()
    assert.equal(client.unread, '')
    await until('the connection to be gone', () => rig.server.connections === 0)
  })

  test('TLS handshakes that do not come take places, where TLS comes first: those of one address only its own', async () => {
    const { makeCertificate } = await import('../support/certificate.ts')
    const limits = { connectionsPerAddressMax: 2, connectionsMax: 4 }
    const tls = { certificate: makeCertificate(), implicitTls: true }
    await start({ limits, ...tls, allowNetworks: ['127.0.0.2/32'] })
    const silent = [await open(), await open()]
    await until('them to be counted', () => rig.server.sessions === 2)
    // A third of that address is closed before it says anything; others have their places.
    assert.equal(await (await open()).closed(), '')
    const greeting = async (localAddress: string) => {
      const plain = connect({ port: rig.port, host: '127.0.0.1', localAddress })
      const client = new Peer(connectTls({ socket: plain, rejectUnauthorized: false }))
      peers.push(client)
      return (await client.reply()).at(-1) ?? 'closed'
    }
    assert.match(await greeting('127.0.0.3'), /^220 /)
    assert.match(await greeting('127.0.0.2'), /^220 /)
    assert.equal(await greeting('127.0.0.2'), 'closed')
    silent[0]!.socket.destroy()
    await until('the place to be free', () => rig.server.sessions === 3)
    assert.match(await greeting('127.0.0.1'), /^220 /)
    const refused = (await rig.metrics.getSingleMetric('wrapper_connections_refused_total')!.get()).values
    assert.deepEqual(
      refused.map(({ labels, value }) => [labels['reason'], value]),
      [
        ['too many connections of one address', 1],
        ['too many connections', 1],
      ],
    )
  })

  test('a client that was told farewell and does not close its side', async () => {
    await start({ limits: { farewellMs: 400 } })
    const socket = connect({ port: rig.port, host: '127.0.0.1', allowHalfOpen: true })
    const client = new Peer(socket)
    assert.match((await client.reply()).at(-1)!, /^220 /)
    assert.match(await client.ask('QUIT'), /^221 /)
    assert.equal(rig.server.connections, 1)
    await until('the connection to be gone', () => rig.server.connections === 0)
    socket.destroy()
  })
})

describe('clients that do not wait', () => {
  test('before the greeting: 554 5.5.0', async () => {
    await start()
    for (const text of ['EHLO client.test\r\n', 'MAIL FROM:<a@b.test>\r\n', 'GET / HTTP/1.1\r\n\r\n']) {
      const peer = await open()
      peer.say(text)
      const heard = (await peer.reply()).at(-1)!
      // Whoever is late enough by chance gets the greeting; nobody gets both.
      if (heard.startsWith('220')) assert.doesNotMatch(await peer.ask('NOOP'), /^220 /)
      else assert.match(heard, /^554 5\.5\.0 /)
    }
  })

  test('a web page', async () => {
    await start()
    const client = await open()
    await client.reply()
    client.say('POST / HTTP/1.1\r\nHost: x\r\n\r\nMAIL FROM:<a@b.test>\r\n')
    assert.match((await client.reply()).at(-1)!, /^421 4\.7\.0 /)
    assert.equal(sink.commands.length, 0)
  })

  test('many pipelined recipients: answered in order', async () => {
    await start({ multiRecipient: 'shared', limits: { recipientsMax: 5000 } })
    const client = await greeted()
    sink.misbehave = command => (/r(?:\d*7)@/.test(command) ? `550 5.1.1 ${command}` : undefined)
    const commands = Array.from({ length: 3000 }, (_, at) => `RCPT TO:<r${at}@d.test>\r\n`)
    client.say(`MAIL FROM:<a@b.test>\r\n${commands.join('')}`)
    assert.match((await client.reply()).at(-1)!, /^250 2\.1\.0/)
    for (let at = 0; at < 3000; at++) {
      const reply = (await client.reply()).at(-1)!
      if (at % 10 === 7) assert.equal(reply, `550 5.1.1 RCPT TO:<r${at}@d.test>`)
      else assert.match(reply, /^250 2\.1\.5/, String(at))
    }
    assert.match(await client.ask('DATA'), /^354 /)
    assert.match(await client.ask('x\r\n.'), /^250 /)
    assert.equal(sink.accepted[0]?.rcpts.length, 2700)
  })
})

describe('no smuggling', () => {
  const ends = [
    '\n.\n',
    '\n.\r\n',
    '\r\n.\n',
    '\r.\r',
    '\r.\r\n',
    '\r\n.\r',
    '\n.\r',
    '\n..\r\n',
    '\r\n\0.\r\n',
    '\r\n.\0\r\n',
    '\r\r.\r\n',
    '\r\n.\r\r\n',
  ]
  for (const [at, end] of ends.entries()) {
    test(`${JSON.stringify(end)} in a message: one message, no bare CR or LF upstream`, async () => {
      await start()
      const client = await greeted()
      const text = `first${end}MAIL FROM:<ceo@victim.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nx\r\n.\r\n`
      // Whole, bytewise, and cut in two; in the long form at every byte, in the short one where it may matter.
      const everywhere = Array.from({ length: text.length - 1 }, (_, byte) => [byte + 1])
      const cuts = [
        [],
        Array.from({ length: text.length }, (_, byte) => byte),
        ...(sized(0, 1) === 0 ? [[5 + (at % end.length)], [5 + end.length]] : everywhere),
      ]
      for (const places of cuts) {
        await toData(client)
        client.socket.setNoDelay(true)
        for (const [index, from] of [0, ...places].entries()) {
          client.say(text.slice(from, places[index] ?? text.length))
          if (places.length === 1) await new Promise(resolve => setImmediate(resolve))
        }
        assert.match((await client.reply()).at(-1)!, /^250 /)
      }
      assert.equal(sink.accepted.length, cuts.length)
      for (const { data, mail } of sink.accepted) {
        assert.equal(mail, 'MAIL FROM:<a@b.test>')
        assert.match(data, /ceo@victim/)
        assert.doesNotMatch(data, /\r(?!\n)|(?<!\r)\n/)
      }
    })
  }

  test('the dot of a stuffed first line, cut from it, ends nothing', async () => {
    await start()
    const client = await greeted()
    client.socket.setNoDelay(true)
    await toData(client)
    client.say('..')
    await new Promise(resolve => setTimeout(resolve, 30))
    client.say('\r\nMAIL FROM:<ceo@victim.test>\r\nRCPT TO:<x@d.test>\r\nDATA\r\nsmuggled\r\n.\r\n')
    assert.match((await client.reply()).at(-1)!, /^250 /)
    assert.equal(sink.accepted.length, 1)
    assert.match(sink.accepted[0]!.data, /^\.\.\r\nMAIL FROM/)
  })
})

describe('capabilities', () => {
  test('never more than the upstream has, whatever it has', async () => {
    const all = ['PIPELINING', 'SIZE 1000', 'ENHANCEDSTATUSCODES', '8BITMIME', 'DSN', 'SMTPUTF8', 'AUTH PLAIN']
    const foreign = [
      'CHUNKING',
      'BINARYMIME',
      'XCLIENT NAME',
      'XFORWARD NAME',
      'BURL',
      'ETRN',
      'VRFY',
      'REQUIRETLS',
      'STARTTLS x',
    ]
    await start({ limits: { upstreamIdleMs: 0 } })
    for (let mask = 0; mask < 2 ** all.length; mask += 5) {
      const chosen = all.filter((_, bit) => mask & (1 << bit))
      sink.keywords = [...foreign.slice(0, 8), ...chosen]
      await until('the upstream connection to be closed', () => rig.server.pool.size === 0)
      const client = await open()
      await client.reply()
      client.say('EHLO client.test\r\n')
      const announced = (await client.reply()).slice(1).map(line => line.slice(4))
      assert.deepEqual(announced.toSorted(), chosen.toSorted())
      client.socket.destroy()
    }
  })

  test('parameters that the upstream would not understand are refused', async () => {
    await start({}, ['PIPELINING'])
    const client = await greeted()
    assert.match(await client.ask('MAIL FROM:<a@b.test> BODY=8BITMIME'), /^550 5\.6\.3 /)
    assert.match(await client.ask('MAIL FROM:<a@b.test> SMTPUTF8'), /^550 5\.6\.7 /)
    assert.match(await client.ask('MAIL FROM:<a@b.test> RET=FULL'), /^555 5\.5\.4 /)
    assert.match(await client.ask('MAIL FROM:<a@b.test> BODY=7BIT SIZE=10 AUTH=<>'), /^250 /)
    assert.match(await client.ask('RCPT TO:<c@d.test> NOTIFY=NEVER'), /^555 5\.5\.4 /)
    assert.match(await client.ask('RCPT TO:<c@d.test>'), /^250 /)
    assert.equal(
      sink.commands.find(command => command.startsWith('MAIL')),
      'MAIL FROM:<a@b.test>',
    )
  })
})

/** Whatever the upstream or the client does, nothing is promised that was not promised to us, and no half mail goes on. */
import { strict as assert } from 'node:assert'
import { connect, createServer } from 'node:net'
import { afterEach, describe, test } from 'node:test'
import { defaultLimits } from '../../lib/message/smtp/limits.ts'
import { until } from '../support/process.ts'
import { sized } from '../support/soak.ts'
import { Peer } from './peer.ts'
import type { Rewriting } from '../../lib/message/smtp/rewriting.ts'
import { startRig, type Rig, type RigOptions } from './rig.ts'
import { SinkUpstream } from './sink-upstream.ts'

let sink: SinkUpstream
let rig: Rig
const start = async (options: Partial<RigOptions> = {}) => {
  sink = await SinkUpstream.start()
  rig = await startRig({ upstreamPort: sink.port, ...options })
}
afterEach(async () => {
  await sink.close()
  await rig.close()
  assert.deepEqual(rig.faults, [])
})

/** Says what leads up to the message; the replies. */
async function greet(client: Peer): Promise<void> {
  assert.match((await client.reply()).at(-1)!, /^220 /)
  assert.match(await client.ask('EHLO client.test'), /^250 /)
}

/** Offers a mail as far as it is wanted; the replies. */
async function offer(client: Peer): Promise<string[]> {
  const heard: string[] = []
  for (const command of ['MAIL FROM:<a@b.test>', 'RCPT TO:<c@d.test>', 'DATA', 'x\r\n.']) {
    client.say(`${command}\r\n`)
    heard.push((await client.reply()).join('\r\n'))
    if (!/^[23]/.test(heard.at(-1)!)) break
  }
  return heard
}

describe('an upstream that refuses or breaks', () => {
  const steps = ['MAIL', 'RCPT', 'DATA', '.']
  const replies = [
    '421 4.3.2 closing',
    '450 4.2.0 later',
    '451 4.3.0 not now',
    '452 4.3.1 full',
    '500 what',
    '550 5.1.1 no such user',
    '552 5.3.4 too big',
    '554-5.7.1 two\r\n554 5.7.1 lines',
  ]
  for (const step of steps) {
    test(`its reply to ${step} is the client's`, async () => {
      await start()
      for (const reply of replies) {
        sink.misbehave = command => (command.startsWith(step) ? reply : undefined)
        const client = await Peer.connect(rig.port)
        await greet(client)
        const heard = await offer(client)
        assert.equal(heard.at(-1), reply, step)
        assert.equal(heard.length, steps.indexOf(step) + 1)
        client.socket.destroy()
      }
      assert.equal(sink.accepted.length, 0)
    })

    for (const [what, reply] of [
      ['the end of the connection', 'drop'],
      ['nonsense', 'HTTP/1.1 200 OK'],
      // As if the message were asked for that was just sent, or taken that was not.
      ['a reply to something else', step === 'DATA' ? '250 2.0.0 queued' : '354 go ahead'],
    ] as const) {
      test(`${what} instead of a reply to ${step}: 451, and the session goes on`, async () => {
        await start()
        sink.misbehave = command => (command.startsWith(step) ? reply : undefined)
        const client = await Peer.connect(rig.port)
        await greet(client)
        assert.match((await offer(client)).at(-1)!, /^451 4\.4\.2 /)
        sink.misbehave = () => undefined
        assert.match(await client.ask('RSET'), /^250 /)
        assert.match(await client.ask('MAIL FROM:<a@b.test>'), /^250 /)
        client.socket.destroy()
        assert.equal(sink.accepted.length, 0)
      })
    }
  }

  test('lost within a transaction: the reason is told; lost while nobody uses it: nothing to tell', async () => {
    const told: string[] = []
    await start({ onLost: reason => told.push(reason) })
    for (const [how, reason] of [
      ['drop', 'the upstream closed the connection'],
      ['HTTP/1.1 200 OK', 'the upstream does not speak SMTP: a line is no SMTP reply'],
    ] as const) {
      sink.misbehave = command => (command === '.' ? how : undefined)
      const client = await Peer.connect(rig.port)
      await greet(client)
      for (const command of ['MAIL FROM:<a@b.test>', 'RCPT TO:<c@d.test>', 'DATA']) await client.ask(command)
      assert.match(await client.ask('x\r\n.'), /^451 4\.4\.2 /)
      assert.equal(told.pop(), reason)
      client.socket.destroy()
    }
    const client = await Peer.connect(rig.port)
    await greet(client)
    await sink.close()
    await until('the connection to be gone', () => rig.server.pool.size === 0)
    client.socket.destroy()
    assert.deepEqual(told, [])
  })

  test('counts refusals: no connection of its is used for many, whoever they were for', async () => {
    await start()
    const refusals = new Map<number, number>()
    sink.misbehave = (command, { number }) => {
      if (!command.startsWith('RCPT TO:<nobody@')) return undefined
      refusals.set(number, (refusals.get(number) ?? 0) + 1)
      return '550 5.1.1 no such user'
    }
    const send = async (recipient: string) => {
      const client = await Peer.connect(rig.port)
      await greet(client)
      await client.ask('MAIL FROM:<a@b.test>')
      const reply = await client.ask(`RCPT TO:<${recipient}>`)
      if (reply.startsWith('2')) {
        await client.ask('DATA')
        assert.match(await client.ask('x\r\n.'), /^250 /)
      }
      await client.ask('QUIT')
      await client.closed()
    }
    for (let round = 0; round < 12; round++) await send('nobody@d.test')
    assert.deepEqual([...refusals.values()], [5, 5, 2])
    // An accepted message makes up for them.
    refusals.clear()
    for (let round = 0; round < 12; round++) {
      await send('nobody@d.test')
      await send('c@d.test')
    }
    assert.deepEqual([...refusals.values()], [12])
  })

  test('silence: 451 after the time of the step', async () => {
    await start({ limits: { upstreamReplyMs: 300, upstreamDataMs: 300, upstreamFinalMs: 300 } })
    for (const step of steps) {
      sink.misbehave = command => (command.startsWith(step) ? '' : undefined)
      if (step === '.') sink.misbehave = command => (command === '.' ? new Promise<string>(() => undefined) : undefined)
      const client = await Peer.connect(rig.port)
      await greet(client)
      assert.match((await offer(client)).at(-1)!, /^451 4\.4\.2 /, step)
      client.socket.destroy()
    }
  })

  test('slow: its last reply is waited for as long as a client waits, and then some time less', async t => {
    // The long form takes the time that it takes.
    const secondMs = sized(5, 1000)
    const isLong = secondMs === 1000
    await start({ limits: { upstreamFinalMs: (defaultLimits.upstreamFinalMs * secondMs) / 1000 } })
    const cases: readonly (readonly [seconds: number, reply: RegExp])[] = [
      [300, /^250 /],
      [isLong ? 569 : 400, /^250 /],
      [isLong ? 571 : 700, /^451 4\.4\.2 /],
      [Number.POSITIVE_INFINITY, /^451 4\.4\.2 /],
    ]
    const timers: NodeJS.Timeout[] = []
    t.after(() => timers.forEach(timer => clearTimeout(timer)))
    const waits = new Map<number, number>()
    sink.misbehave = (command, { number }) => {
      const seconds = /^RCPT TO:<after-(\w+)@/.exec(command)?.[1]
      if (seconds !== undefined) waits.set(number, Number(seconds))
      const wait = waits.get(number) ?? 0
      if (command !== '.') return undefined
      return new Promise(resolve => {
        if (Number.isFinite(wait)) timers.push(setTimeout(() => resolve('250 2.0.0 at last'), wait * secondMs))
      })
    }
    await Promise.all(
      cases.map(async ([seconds, expected]) => {
        const client = await Peer.connect(rig.port)
        await greet(client)
        for (const command of ['MAIL FROM:<a@b.test>', `RCPT TO:<after-${seconds}@d.test>`, 'DATA'])
          assert.match(await client.ask(command), /^[23]/)
        client.say('x\r\n.\r\n')
        await until(`the answer after ${seconds} s`, () => client.unread.includes('\r\n'), 600 * secondMs + 5000, 20)
        assert.match(client.take(), expected, `${seconds} s`)
        client.socket.destroy()
      }),
    )
  })

  test('not there: 421 to EHLO, and mail flows as soon as it is back', async () => {
    await start()
    const { port } = sink
    await sink.close()
    const client = await Peer.connect(rig.port)
    assert.match((await client.reply()).at(-1)!, /^220 /)
    assert.match(await client.ask('EHLO client.test'), /^421 4\.3\.2 /)
    await client.closed()
    sink = await SinkUpstream.start(undefined, port)
    const again = await Peer.connect(rig.port)
    await greet(again)
    assert.match(await again.ask('MAIL FROM:<a@b.test>'), /^250 /)
    again.socket.destroy()
  })

  test('not there: looked for, though no client asks', async () => {
    sink = await SinkUpstream.start()
    const { port } = sink
    await sink.close()
    const told: (string | undefined)[] = []
    rig = await startRig({ upstreamPort: port, onUpstream: trouble => told.push(trouble) })
    const client = await Peer.connect(rig.port)
    await client.reply()
    await client.ask('EHLO client.test')
    assert.match(told[0] ?? '', /ECONNREFUSED/)
    sink = await SinkUpstream.start(undefined, port)
    await until('word that it is back', () => told.at(-1) === undefined)
  })

  test('refuses the connection: 421 to EHLO', async () => {
    await start()
    for (const greeting of ['554 5.3.2 no service', '421 4.3.2 busy', 'drop', 'SSH-2.0-OpenSSH']) {
      sink.misbehave = command => (command === 'connect' ? greeting : undefined)
      const client = await Peer.connect(rig.port)
      await client.reply()
      assert.match(await client.ask('EHLO client.test'), /^421 4\.3\.2 /, greeting)
      await client.closed()
    }
  })

  test('is the relay itself, by a way that does not show: 421 to EHLO', async () => {
    await start()
    const way = createServer(from => {
      const to = connect(rig.port, '127.0.0.1')
      from.pipe(to).pipe(from)
      from.on('error', () => to.destroy())
      to.on('error', () => from.destroy())
    })
    await new Promise<void>(resolve => {
      way.listen(0, '127.0.0.1', resolve)
    })
    const address = way.address()
    assert.ok(address !== null && typeof address === 'object')
    const told: (string | undefined)[] = []
    await rig.close()
    rig = await startRig({ upstreamPort: address.port, onUpstream: trouble => told.push(trouble) })
    const client = await Peer.connect(rig.port)
    await client.reply()
    assert.match(await client.ask('EHLO client.test'), /^421 4\.3\.2 /)
    assert.ok(told.some(trouble => trouble?.includes('this wrapper itself')))
    await rig.close()
    await new Promise(resolve => way.close(resolve))
  })

  test('is gone between EHLO and MAIL: 451', async () => {
    await start()
    const client = await Peer.connect(rig.port)
    await greet(client)
    await sink.close()
    assert.match(await client.ask('MAIL FROM:<a@b.test>'), /^451 4\.4\.1 /)
    client.socket.destroy()
  })

  test('speaks HELO only', async () => {
    await start()
    sink.misbehave = command => (command.startsWith('EHLO') ? '502 5.5.1 what' : undefined)
    const client = await Peer.connect(rig.port)
    await client.reply()
    client.say('EHLO client.test\r\n')
    assert.equal((await client.reply()).length, 1)
    for (const command of ['MAIL FROM:<a@b.test>', 'RCPT TO:<c@d.test>', 'DATA', 'x\r\n.']) await client.ask(command)
    assert.equal(sink.accepted.length, 1)
    client.socket.destroy()
  })
})

describe('a client that goes away', () => {
  const short = 'Subject: x\r\n\r\n..a line\r\nanother\r\n.\r\n'
  const mail =
    sized(0, 1) === 0 ? short : `Subject: x\r\n\r\n${'..a line of a mail of two kilobytes\r\n'.repeat(55)}.\r\n`

  test('at every byte of a message: nothing is accepted', async () => {
    await start()
    for (let bytes = 0; bytes < mail.length; bytes++) {
      const client = await Peer.connect(rig.port)
      await greet(client)
      for (const command of ['MAIL FROM:<a@b.test>', 'RCPT TO:<c@d.test>', 'DATA']) await client.ask(command)
      client.say(mail.slice(0, bytes))
      if (bytes % 2 === 0) client.socket.end()
      else client.socket.destroySoon()
      await until('the session to end', () => rig.server.sessions === 0)
    }
    await until('the upstream to see them end', () => sink.unfinished === mail.length)
    assert.equal(sink.accepted.length, 0)
    assert.equal(sink.commands.filter(command => command === '.').length, 0)
  })

  test('at every third byte of a message that streams: nothing is accepted', async () => {
    await start({ limits: { collectBytesMax: 0 } })
    for (let bytes = 0; bytes < mail.length; bytes += 3) {
      const client = await Peer.connect(rig.port)
      await greet(client)
      for (const command of ['MAIL FROM:<a@b.test>', 'RCPT TO:<c@d.test>', 'DATA']) await client.ask(command)
      client.say(mail.slice(0, bytes))
      client.socket.resetAndDestroy()
      await until('the session to end', () => rig.server.sessions === 0)
    }
    assert.equal(sink.accepted.length, 0)
  })

  test('between commands: the upstream connection is reset and used again', async () => {
    await start()
    for (const command of ['', 'MAIL FROM:<a@b.test>', 'RCPT TO:<c@d.test>']) {
      const client = await Peer.connect(rig.port)
      await greet(client)
      if (command.startsWith('RCPT')) await client.ask('MAIL FROM:<a@b.test>')
      if (command !== '') await client.ask(command)
      client.socket.resetAndDestroy()
      await until('the session to end', () => rig.server.sessions === 0)
      await until('the upstream connection to be free', async () => sink.commands.at(-1) !== command)
    }
    assert.equal(sink.sessions, 1)
    assert.equal(sink.commands.filter(command => command === 'RSET').length, 2)
  })

  /** A client whose message is upstream; the reply to it is what `answer` is told. */
  async function atFinalDot(send: (client: Peer) => void) {
    const { promise, resolve: answer } = Promise.withResolvers<string>()
    sink.misbehave = command => (command === '.' ? promise : undefined)
    const client = await Peer.connect(rig.port)
    await greet(client)
    for (const command of ['MAIL FROM:<a@b.test>', 'RCPT TO:<c@d.test>', 'DATA']) await client.ask(command)
    send(client)
    await until('the message to be upstream', () => sink.commands.at(-1) === '.')
    return { client, answer }
  }

  for (const last of ['', 'QUIT\r\n']) {
    test(`closes its side after the message${last && ' and QUIT'}: it is answered`, async () => {
      await start()
      const { client, answer } = await atFinalDot(it => it.socket.end(`${mail}${last}`))
      answer('250 2.0.0 queued')
      assert.equal(await client.closed(), `250 2.0.0 queued\r\n${last && '221 2.0.0 Bye\r\n'}`)
      await until('the session to end', () => rig.server.sessions === 0)
      assert.equal(sink.accepted.length, 1)
    })
  }

  test('closes its side within a pipelined envelope: it is answered', async () => {
    await start()
    const client = await Peer.connect(rig.port)
    await greet(client)
    client.socket.end('MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n')
    assert.equal(await client.closed(), '250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n')
    await until('the session to end', () => rig.server.sessions === 0)
    await until('the upstream to be asked to forget', () => sink.commands.at(-1) === 'RSET')
  })

  test('before the reply to its message: the message is delivered once', async () => {
    await start()
    const { client, answer } = await atFinalDot(it => it.say(mail))
    client.socket.resetAndDestroy()
    await until('the session to end', () => rig.server.sessions === 0)
    answer('250 ok')
    await until('the message', () => sink.accepted.length === 1)
    const again = await Peer.connect(rig.port)
    await greet(again)
    assert.match(await again.ask('MAIL FROM:<a@b.test>'), /^250 /)
    assert.equal(sink.sessions, 1)
    again.socket.destroy()
  })
})

describe('a large message', () => {
  const line = `${'x'.repeat(98)}\r\n`
  const megabytes = (count: number) => line.repeat(count * 10_000)

  for (const [what, collectBytesMax] of [
    ['streamed', 1_000_000],
    ['collected', 100_000_000],
  ] as const) {
    test(`${what}: arrives as it was`, async () => {
      await start({ limits: { collectBytesMax } })
      const client = await Peer.connect(rig.port)
      await greet(client)
      for (const command of ['MAIL FROM:<a@b.test>', 'RCPT TO:<c@d.test>', 'DATA']) await client.ask(command)
      const message = `${megabytes(5)}..dot\r\n${megabytes(5)}`
      client.say(message)
      assert.match(await client.ask('.'), /^250 /)
      assert.equal(sink.accepted[0]?.data, message)
      client.socket.destroy()
    })
  }

  test('streamed: refused half way, read to its end, answered with the refusal', async () => {
    await start({ limits: { collectBytesMax: 1000, messageBytesMax: 2_000_000 } })
    const client = await Peer.connect(rig.port)
    await greet(client)
    for (const command of ['MAIL FROM:<a@b.test>', 'RCPT TO:<c@d.test>', 'DATA']) await client.ask(command)
    client.say(megabytes(3))
    assert.match(await client.ask('.'), /^552 5\.3\.4 /)
    assert.match(await client.ask('MAIL FROM:<a@b.test>'), /^250 /)
    assert.equal(sink.accepted.length, 0)
    client.socket.destroy()
  })

  for (const [what, limits, size, stamped] of [
    ['with a size that leaves room', {}, ' SIZE=2000000', false],
    ['with a size that leaves none', {}, ' SIZE=2900000', true],
    ['without a size', {}, '', true],
    ['without a size, and no room to collect it', { collectedBytesMax: 3_800_000 }, '', true],
    ['without a size, where every message leaves room', { messageBytesMax: 2_000_000 }, '', false],
  ] as const) {
    test(`${what}: taken, though wrapped it may be more than the upstream takes`, async () => {
      const rewriting: Rewriting = {
        begin: ({ stampOnly = false }) => ({
          write: chunk => [chunk],
          end: () => [Buffer.from(stampOnly ? 'stamped\r\n' : megabytes(1))],
          accepted: () => undefined,
        }),
        bringsId: () => true,
      }
      await start({ rewriting, limits: { collectBytesMax: 1_000, ...limits } })
      sink.keywords = ['SIZE 3000000']
      const message = megabytes(stamped ? 2 : 1) + (stamped ? line.repeat(9_000) : '')
      const client = await Peer.connect(rig.port)
      await greet(client)
      for (const command of [`MAIL FROM:<a@b.test>${size}`, 'RCPT TO:<c@d.test>', 'DATA']) await client.ask(command)
      client.say(message)
      assert.match(await client.ask('.'), /^250 /)
      assert.ok(sink.accepted[0]?.data === message + (stamped ? 'stamped\r\n' : megabytes(1)))
      client.socket.destroy()
    })
  }

  for (const [what, line, arrives] of [
    ['dots', '..\r\n', '..\r\n'],
    ['bare LF', 'a\n', 'a\r\n'],
  ] as const) {
    test(`made of ${what} only`, async () => {
      for (const collectBytesMax of [1_000, 100_000_000]) {
        await start({ limits: { collectBytesMax } })
        const client = await Peer.connect(rig.port)
        await greet(client)
        for (const command of ['MAIL FROM:<a@b.test>', 'RCPT TO:<c@d.test>', 'DATA']) await client.ask(command)
        client.say(line.repeat(750_000))
        assert.match(await client.ask('\r\n.'), /^250 /)
        assert.ok(sink.accepted[0]?.data === `${arrives.repeat(750_000)}\r\n`)
        client.socket.destroy()
        if (collectBytesMax > 1_000) continue
        await sink.close()
        await rig.close()
      }
    })
  }

  test('an upstream that does not read stops the client, not the relay', async () => {
    await start({ limits: { collectBytesMax: 1000 } })
    const client = await Peer.connect(rig.port)
    await greet(client)
    for (const command of ['MAIL FROM:<a@b.test>', 'RCPT TO:<c@d.test>', 'DATA']) await client.ask(command)
    const goOn = sink.pause()
    for (let at = 0; at < 20; at++) client.say(megabytes(1))
    await until('the client to be held back', () => client.socket.writableLength > 5_000_000)
    const other = await Peer.connect(rig.port)
    assert.match((await other.reply()).at(-1)!, /^220 /)
    other.socket.destroy()
    goOn()
    assert.match(await client.ask('.'), /^250 /)
    assert.equal(sink.accepted[0]?.data.length, 20_000_000)
    client.socket.destroy()
  })
})

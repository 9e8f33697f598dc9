/** A real Postfix behind the wrapper: what it makes of tricks, and of a retry. */
import { strict as assert } from 'node:assert'
import { existsSync, mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { startPostfix, type PostfixInstance } from '../support/postfix.ts'
import { freePort, startProcess, until, waitForPort, type StartedProcess } from '../support/process.ts'
import { startRedis, type TestRedis } from '../support/redis.ts'
import { Peer } from './peer.ts'
import { SinkUpstream } from './sink-upstream.ts'

const canRun = process.getuid?.() === 0 && existsSync('/usr/sbin/postfix')
const program = new URL('../../cmd/wrapper.ts', import.meta.url).pathname
const linktool = new URL('../../cmd/linktool.ts', import.meta.url).pathname

describe('with Postfix as upstream', { skip: canRun ? false : 'needs root and postfix' }, () => {
  let redis: TestRedis
  let destination: SinkUpstream
  let postfix: PostfixInstance
  let wrapper: StartedProcess
  let port: number
  const keysFile = join(mkdtempSync(join(tmpdir(), 'wrapper-')), 'keys')

  const startWrapper = async () => {
    port = await freePort()
    wrapper = await startProcess('node', [
      program,
      ...['--in-hostport', `127.0.0.1:${port}`, '--out-hostport', `127.0.0.1:${postfix.port}`],
      ...['--tracking-url', 'http://track.test', '--link-keys', keysFile, '--redis-url', redis.url],
    ])
    await waitForPort(port)
  }
  before(async () => {
    redis = await startRedis()
    destination = await SinkUpstream.start(['8BITMIME', 'SMTPUTF8'])
    postfix = await startPostfix({
      port: await freePort(),
      settings: {
        relayhost: `[127.0.0.1]:${destination.port}`,
        // Of the copies of a message, told apart by their ids, refuses one in four at its final dot.
        header_checks: 'regexp:{{/^X-Sp-Message-Id: .*[0-3]$$/ REJECT not this one}}',
        smtp_destination_concurrency_limit: '5',
      },
    })
    const made = await startProcess('node', [linktool, 'keys', 'new', '--link-keys', keysFile])
    assert.equal((await made.exited).code, 0)
    await startWrapper()
  })
  after(async () => {
    await wrapper.stop()
    await postfix.stop()
    await destination.close()
    await redis.stop()
  })

  async function hello(): Promise<Peer> {
    const client = await Peer.connect(port)
    await client.reply()
    assert.match(await client.ask('EHLO client.test'), /^250 /)
    return client
  }

  test('its extensions are announced, and no others', async () => {
    const ask = async (at: number) => {
      const client = await Peer.connect(at)
      await client.reply()
      client.say('EHLO client.test\r\n')
      const lines = (await client.reply()).slice(1).map(line => line.slice(4))
      await client.ask('QUIT')
      return lines
    }
    const passed = new Set(['PIPELINING', 'ENHANCEDSTATUSCODES', '8BITMIME', 'DSN', 'SMTPUTF8'])
    const theirs = await ask(postfix.port)
    const ours = await ask(port)
    assert.deepEqual(
      new Set(ours),
      new Set(theirs.filter(line => passed.has(line) || line.startsWith('SIZE ') || line.startsWith('AUTH '))),
    )
    assert.ok(theirs.includes('CHUNKING') && !ours.includes('CHUNKING'))
  })

  test('no way of ending a message makes two of one', async () => {
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
      '\r\n.\r\r\n',
    ]
    const client = await hello()
    for (const [at, end] of ends.entries()) {
      for (const command of ['MAIL FROM:<a@b.test>', `RCPT TO:<number${at}@d.test>`]) {
        assert.match(await client.ask(command), /^250 /)
      }
      assert.match(await client.ask('DATA'), /^354 /)
      const smuggled = `MAIL FROM:<ceo@victim.test>\r\nRCPT TO:<smuggled@d.test>\r\nDATA\r\nSubject: paid\r\n`
      // With an id of its own, which the header check lets pass.
      const header = `Subject: ${at}\r\nX-Sp-Message-Id: 00005f3759df0000000f\r\n`
      assert.match(await client.ask(`${header}\r\nfirst${end}${smuggled}\r\n.`), /^250 /)
    }
    await client.ask('QUIT')
    await until('the mails', () => destination.accepted.length >= ends.length, 20_000)
    await until('the queue to be empty', () => destination.accepted.length === ends.length)
    for (const { mail, rcpts } of destination.accepted) {
      assert.match(mail, /^MAIL FROM:<a@b\.test>/)
      assert.doesNotMatch(rcpts.join(), /smuggled/)
    }
  })

  test('some recipients now, the others when the client comes again: each exactly once', async () => {
    const recipients = Array.from({ length: 60 }, (_, at) => `r${at}@many.test`)
    const received = () => destination.accepted.filter(({ rcpts }) => rcpts.join().includes('@many.test'))
    const sendAll = async () => {
      const client = await hello()
      const mail = await client.ask('MAIL FROM:<a@b.test>')
      if (!mail.startsWith('250')) return mail
      for (const recipient of recipients) {
        const reply = await client.ask(`RCPT TO:<${recipient}>`)
        if (!reply.startsWith('250')) return reply
      }
      const data = await client.ask('DATA')
      if (!data.startsWith('354')) return data
      const reply = await client.ask(
        'Message-ID: <many@b.test>\r\nContent-Type: text/html\r\n\r\n<a href="https://example.test/">x</a>\r\n.',
      )
      await client.ask('QUIT')
      return reply
    }
    const replies: string[] = []
    await until(
      'all to be taken',
      async () => {
        const reply = await sendAll()
        replies.push(reply.slice(0, 9))
        // Between two attempts the wrapper dies: what was accepted is in Redis.
        if (replies.length === 3) {
          wrapper.kill('SIGKILL')
          await wrapper.exited
          await startWrapper()
        }
        return reply.startsWith('250')
      },
      60_000,
    )
    assert.ok(replies.includes('451 4.5.0'), replies.join())
    assert.ok(
      replies.every(reply => ['250 2.0.0', '451 4.5.0', '550 5.7.1'].includes(reply)),
      replies.join(),
    )
    await until('the mails', () => received().length >= recipients.length, 20_000)
    const counts = new Map<string, number>()
    const ids = new Set<string>()
    for (const { rcpts, data } of received()) {
      assert.equal(rcpts.length, 1)
      const recipient = /<([^>]*)>/.exec(rcpts[0]!)![1]!
      counts.set(recipient, (counts.get(recipient) ?? 0) + 1)
      ids.add(/^X-Sp-Message-Id: (\S+)/m.exec(data)![1]!)
    }
    assert.deepEqual(
      [...counts.values()],
      Array.from(recipients, () => 1),
    )
    assert.equal(ids.size, recipients.length, 'each with an id of its own')
    // Nothing is remembered once all are served: the same message on purpose is a new one.
    await until('nothing to be remembered', async () => (await redis.client.keys('*seen:copy:*')).length === 0)
  })
})

/** The catch-all mailbox of a running console, with real clients. */
import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createTransport } from 'nodemailer'
import { startConsole, type StartedConsole } from '../support/console.ts'
import { startProcess, until } from '../support/process.ts'

let it: StartedConsole
before(async () => {
  it = await startConsole(['--max-message-bytes=2000000'])
})
after(() => it.stop())

interface Mail {
  readonly id: string
  readonly from: string
  readonly to: readonly string[]
  readonly received: string
  readonly bytes: number
  readonly subject: string
}

async function mailbox(query = ''): Promise<Mail[]> {
  const answer = await fetch(`${it.url}/api/mailbox${query}`)
  assert.match(answer.headers.get('content-type') ?? '', /^application\/json/)
  return (await answer.json()) as Mail[]
}

async function raw(id: string): Promise<Buffer> {
  const answer = await fetch(`${it.url}/api/mailbox/${id}`)
  assert.equal(answer.headers.get('content-type'), 'message/rfc822')
  return Buffer.from(await answer.arrayBuffer())
}

async function newest(): Promise<Mail> {
  const [mail] = await mailbox('?limit=1')
  assert.ok(mail)
  return mail
}

/** Speaks SMTP by hand: sends each text when the reply to the one before has come, and gives all replies. */
function dialogue(texts: readonly (string | Buffer)[]): Promise<string[]> {
  return new Promise((resolve, reject) => {
    const socket = connect(it.smtpPort, '127.0.0.1')
    const replies: string[] = []
    let unread = ''
    socket.setEncoding('latin1')
    socket.once('error', reject).once('close', () => resolve(replies))
    socket.on('data', (text: string) => {
      unread += text
      // A reply ends with a line that has a space after its code.
      for (let match; (match = /^(?:\d{3}-.*\r\n)*\d{3} .*\r\n/.exec(unread));) {
        replies.push(match[0].trimEnd())
        unread = unread.slice(match[0].length)
        const text = texts[replies.length - 1]
        if (text === undefined) socket.end()
        else socket.write(text)
      }
    })
  })
}

const envelope = ['EHLO client.example\r\n', 'MAIL FROM:<a@b.example>\r\n', 'RCPT TO:<c@d.example>\r\n', 'DATA\r\n']

test('a mail of nodemailer is caught with its envelope and subject', async () => {
  const transport = createTransport({ host: '127.0.0.1', port: it.smtpPort })
  const { response } = await transport.sendMail({
    envelope: { from: 'bounce@shop.example', to: ['ann@example.com', 'hidden@example.com', 'ann@example.com'] },
    from: 'Shop <news@shop.example>',
    to: 'ann@example.com',
    subject: 'Grüße aus dem Geschäft',
    text: 'hello',
    html: '<p>hello',
  })
  const mail = await newest()
  assert.match(response, /^250 2\.[0-9.]+ /)
  assert.deepEqual(
    [mail.from, mail.to, mail.subject],
    ['bounce@shop.example', ['ann@example.com', 'hidden@example.com'], 'Grüße aus dem Geschäft'],
  )
  assert.ok(Math.abs(Date.parse(mail.received) - Date.now()) < 60_000)
  assert.equal((await raw(mail.id)).length, mail.bytes)
})

/** Has swaks send a mail to these recipients. */
async function swaks(to: string, ...more: string[]): Promise<void> {
  const args = ['--server', `127.0.0.1:${it.smtpPort}`, '--from', 'a@b.example', '--to', to, ...more]
  const sent = await startProcess('swaks', args)
  assert.equal((await sent.exited).code, 0)
}

test('a mail of swaks is caught', async () => {
  await swaks('c@d.example,e@f.example', '--header', 'Subject: from swaks')
  const mail = await newest()
  assert.deepEqual([mail.subject, mail.to], ['from swaks', ['c@d.example', 'e@f.example']])
})

const messages: readonly (readonly [what: string, message: string | Buffer])[] = [
  ['lines that begin with dots', 'Subject: x\r\n\r\n.\r\n..\r\n...three\r\n.end\r\n'],
  ['bare line feeds and bare carriage returns', 'Subject: x\r\n\r\na\nb\rc\n\nd\r\n'],
  ['dots after a bare line feed', 'Subject: x\r\n\r\na\n.\n..\n.\r\n..\r.\r\nb\r\n'],
  ['a first line of one dot', '.\r\nx\r\n'],
  ['a first line of two dots', '..\r\n'],
  ['a last line of one dot', 'x\r\n.\r\n'],
  ['what looks like its end to some', 'x\n.\r\ny\r\n.\nz\r.\r\n'],
  ['no final line', 'Subject: x\r\n\r\nno end\r\n'],
  [
    '8-bit and NUL bytes',
    Buffer.concat([
      Buffer.from('Subject: x\r\n\r\n'),
      Buffer.from(Array.from({ length: 256 }, (_, n) => (n === 10 || n === 13 ? 32 : n))),
      Buffer.from('\r\n'),
    ]),
  ],
  ['no headers', '\r\nbody\r\n'],
  ['a line of 100,000 characters', `Subject: x\r\n\r\n${'y'.repeat(100_000)}\r\n`],
  ['more than one piece', `Subject: x\r\n\r\n${'0123456789abcdef\r\n'.repeat(60_000)}`],
]

for (const [what, message] of messages) {
  test(`a message with ${what} comes back byte for byte`, async () => {
    const bytes = Buffer.from(message as string)
    const stuffed = Buffer.from(bytes.toString('latin1').replaceAll(/(^|\r\n)\./g, '$1..'), 'latin1')
    const replies = await dialogue([...envelope, Buffer.concat([stuffed, Buffer.from('.\r\n')]), 'QUIT\r\n'])
    assert.match(replies[5] ?? '', /^250 .*caught as \d+$/)
    assert.deepEqual(await raw((await newest()).id), bytes)
  })
}

test('a message comes back byte for byte however it is cut into packets', async () => {
  const message = Buffer.from('.\r\n..x\r\n\n..\r\n.\r\n\r\r\n..\n.\r\n')
  const stuffed = Buffer.from(`${message.toString('latin1').replaceAll(/(^|\r\n)\./g, '$1..')}.\r\n`)
  const earlier = (await mailbox()).length
  const socket = connect({ port: it.smtpPort, host: '127.0.0.1', noDelay: true })
  const replies: string[] = []
  socket
    .setEncoding('latin1')
    .on('data', (text: string) => replies.push(...text.split('\r\n').filter(line => /^\d{3} /.test(line))))
  const told = (count: number) => until(`reply ${count}`, () => replies.length >= count)
  await told(1)
  for (const [index, line] of envelope.entries()) {
    socket.write(line)
    await told(index + 2)
  }
  for (const byte of stuffed) {
    socket.write(Buffer.of(byte))
    await new Promise(setImmediate)
  }
  await told(6)
  assert.match(replies[5] ?? '', /^250 /)
  socket.destroy()
  assert.equal((await mailbox()).length, earlier + 1)
  assert.deepEqual(await raw((await newest()).id), message)
})

test('the extensions that generators use are offered, and a notification has an empty sender', async () => {
  const replies = await dialogue([
    'EHLO client.example\r\n',
    'MAIL FROM:<> BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=x SIZE=100\r\n',
    'RCPT TO:<münchen@bücher.example> NOTIFY=FAILURE ORCPT=rfc822;a@b.example\r\n',
    'DATA\r\n',
    'Subject: x\r\n\r\n\r\n.\r\n',
    'QUIT\r\n',
  ])
  for (const name of ['PIPELINING', '8BITMIME', 'SMTPUTF8', 'DSN', 'ENHANCEDSTATUSCODES', 'SIZE 2000000']) {
    assert.ok(replies[1]?.includes(name), name)
  }
  assert.ok(!replies[1]?.includes('STARTTLS'))
  assert.match(replies[5] ?? '', /^250 /)
  assert.equal((await newest()).from, '')
})

test('pipelined mails are all caught', async () => {
  const before = (await mailbox()).length
  const one = `MAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\nSubject: piped\r\n\r\nx\r\n.\r\n`
  // Nothing more to say at the eleven replies before the last.
  const replies = await dialogue(['EHLO client.example\r\n', one.repeat(3), ...Array<string>(11).fill('')])
  assert.deepEqual(
    replies.slice(2).map(reply => reply.slice(0, 3)),
    ['250', '250', '354', '250', '250', '250', '354', '250', '250', '250', '354', '250'],
  )
  assert.equal((await mailbox()).length, before + 3)
})

test('a password of any kind is accepted and kept nowhere', async () => {
  const transport = createTransport({
    host: '127.0.0.1',
    port: it.smtpPort,
    auth: { user: 'me', pass: 'pass-that-is-secret' },
  })
  await transport.sendMail({ from: 'a@b.example', to: 'c@d.example', text: 'x' })
  assert.doesNotMatch(it.process.output.stdout, /pass-that/)
})

test('a message that is too large is refused, announced or not, and the connection goes on', async () => {
  const earlier = (await mailbox()).length
  const replies = await dialogue([
    'EHLO client.example\r\n',
    'MAIL FROM:<a@b.example> SIZE=2000001\r\n',
    ...envelope.slice(1),
    `${'x'.repeat(998)}\r\n`.repeat(2_001) + '.\r\n',
    ...envelope.slice(1),
    'Subject: after\r\n\r\n\r\n.\r\n',
    'QUIT\r\n',
  ])
  assert.match(replies[2] ?? '', /^552 5\.3\.4 /)
  assert.match(replies[6] ?? '', /^552 5\.3\.4 /)
  assert.match(replies[10] ?? '', /^250 /)
  assert.equal((await mailbox()).length, earlier + 1)
})

test('a client that goes away in the middle leaves nothing behind', async () => {
  const earlier = (await mailbox()).length
  await new Promise<void>(resolve => {
    const socket = connect(it.smtpPort, '127.0.0.1')
    const texts = [...envelope, 'x'.repeat(600_000)]
    socket.setEncoding('latin1').on('data', (text: string) => {
      if (!/^\d{3} /m.test(text)) return
      const next = texts.shift()
      if (next !== undefined) socket.write(next)
      if (texts.length === 0) setImmediate(() => socket.destroy())
    })
    socket.once('close', () => resolve())
  })
  assert.equal((await mailbox()).length, earlier)
})

test('the mailbox can be asked for a recipient, a time and a number', async () => {
  const transport = createTransport({ host: '127.0.0.1', port: it.smtpPort })
  await transport.sendMail({ from: 'a@b.example', to: 'only@example.com', subject: 'one', text: 'x' })
  await transport.sendMail({ from: 'a@b.example', to: 'Only@Example.com', subject: 'two', text: 'x' })
  const found = await mailbox('?to=only@example.com')
  assert.deepEqual(
    found.map(({ subject }) => subject),
    ['one', 'two'],
  )
  assert.deepEqual(
    (await mailbox('?to=only@example.com&limit=1')).map(({ subject }) => subject),
    ['two'],
  )
  assert.deepEqual(await mailbox(`?since=${encodeURIComponent(new Date(Date.now() + 60_000).toISOString())}`), [])
  for (const bad of ['?since=tomorrow', '?limit=0', '?limit=x', '?from=a']) {
    assert.equal((await fetch(`${it.url}/api/mailbox${bad}`)).status, 400, bad)
  }
  for (const id of ['0', '999999', 'x', '../..']) {
    assert.equal((await fetch(`${it.url}/api/mailbox/${encodeURIComponent(id)}`)).status, 404, id)
  }
})

test('a file sent by swaks comes back as it was', async () => {
  const file = join(it.dir, 'message.eml')
  const message = `Subject: from a file\r\nX-Sp-Message-Id: 0000\r\n\r\n${'line\r\n'.repeat(1_000)}`
  writeFileSync(file, message)
  await swaks('c@d.example', '--data', `@${file}`)
  const received = (await raw((await newest()).id)).toString()
  assert.equal(received.trimEnd(), message.trimEnd())
})

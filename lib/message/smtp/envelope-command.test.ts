import { strict as assert } from 'node:assert'
import { describe, test } from 'node:test'
import * as fc from 'fast-check'
import { formatEnvelopeCommand, readMail, readRcpt, Refused } from './envelope-command.ts'

function refusal(read: () => unknown): string {
  try {
    read()
  } catch (error) {
    if (error instanceof Refused) return error.message
    throw error
  }
  return 'taken'
}
const mail = (line: string) => refusal(() => readMail(Buffer.from(line, 'latin1')))
const rcpt = (line: string, utf8 = false) => refusal(() => readRcpt(Buffer.from(line), utf8))

describe('readMail and readRcpt', () => {
  test('write back what they read', () => {
    for (const line of [
      'MAIL FROM:<>',
      'MAIL FROM:<a@b>',
      String.raw`MAIL FROM:<"a \"> b"@b.test> SIZE=10`,
      'MAIL FROM:<a@[127.0.0.1]> BODY=7BIT RET=FULL ENVID=a+3Db AUTH=<>',
      `MAIL FROM:<${'a'.repeat(64)}@${'b'.repeat(189)}>`,
    ]) {
      const { path, parameters } = readMail(Buffer.from(line))
      assert.equal(formatEnvelopeCommand('MAIL FROM', path, parameters), line)
    }
    const line = 'RCPT TO:<Ä@Bücher.test> NOTIFY=FAILURE,DELAY ORCPT=utf-8;\u00c4@b'
    const { path, parameters } = readRcpt(Buffer.from(line), true)
    assert.equal(formatEnvelopeCommand('RCPT TO', path, parameters), line)
  })

  test('take other spellings', () => {
    assert.equal(readMail(Buffer.from('mail from: <a@b>  size=5 ')).path, 'a@b')
    assert.equal(readRcpt(Buffer.from('Rcpt To:<a@b>'), false).path, 'a@b')
    assert.equal(readRcpt(Buffer.from('RCPT TO: a.b+c=d@e-f.test'), false).path, 'a.b+c=d@e-f.test')
    const { path, parameters } = readMail(Buffer.from('MAIL FROM:a@b SIZE=5'))
    assert.deepEqual([path, parameters.get('SIZE')], ['a@b', '5'])
  })

  const bad: Readonly<Record<string, string>> = {
    'RCPT TO:<>': '501 5.1.3 A recipient is needed',
    'RCPT TO:<a@b': '501 5.5.4 Syntax: RCPT TO:<address>',
    'RCPT TO:a@b<c@d>': '501 5.5.4 Syntax: RCPT TO:<address>',
    'RCPT TO:a@b>': '501 5.5.4 Syntax: RCPT TO:<address>',
    'RCPT TO:@x:a@b': '501 5.5.4 Syntax: RCPT TO:<address>',
    'RCPT TO:a@b@c': '501 5.5.4 Syntax: RCPT TO:<address>',
    'RCPT TO:"a@b" <c@d>': '501 5.5.4 Syntax: RCPT TO:<address>',
    'RCPT TO:a': '501 5.5.4 Syntax: RCPT TO:<address>',
    'RCPT TO: a@b SIZE=1': '555 5.5.4 Parameter not recognized',
    'RCPT TO:<a b@c>': '501 5.5.4 Syntax: RCPT TO:<address>',
    'RCPT TO:<a@b>x': '501 5.5.4 Syntax: RCPT TO:<address>',
    'RCPT TO:<a@b><c@d>': '501 5.5.4 Syntax: RCPT TO:<address>',
    'RCPT TO:<@x,@y:a@b>': '501 5.1.3 Source routes are not taken',
    'RCPT TO:<a@>': '501 5.1.3 Bad address syntax',
    'RCPT TO:<@b>': '501 5.1.3 Source routes are not taken',
    'RCPT TO:<a@b\0>': '501 5.5.4 Control characters and bad UTF-8 are not allowed',
    'RCPT TO:<a@b\rRCPT TO:<c@d>': '501 5.5.4 Control characters and bad UTF-8 are not allowed',
    'RCPT TO:<a@b> NOTIFY=': '501 5.5.4 Bad parameter',
    'RCPT TO:<a@b> NOTIFY=NEVER,DELAY': '501 5.5.4 NOTIFY is NEVER, or some of SUCCESS, FAILURE and DELAY',
    'RCPT TO:<a@b> ORCPT=a@b': '501 5.5.4 Bad ORCPT',
    'RCPT TO:<a@b> SIZE=1': '555 5.5.4 Parameter not recognized',
    'RCPT TO:<ä@b>': '553 5.6.7 An address in UTF-8 needs SMTPUTF8',
  }
  for (const [line, reply] of Object.entries(bad)) {
    test(JSON.stringify(line), () => assert.equal(rcpt(line), reply))
  }

  test('length of an address', () => {
    assert.equal(mail(`MAIL FROM:<${'a'.repeat(64)}@b>`), 'taken')
    assert.match(mail(`MAIL FROM:<${'a'.repeat(65)}@b>`), /^501 5\.1\.7/)
    assert.equal(mail(`MAIL FROM:<a@${'b'.repeat(252)}>`), 'taken')
    assert.match(mail(`MAIL FROM:<a@${'b'.repeat(253)}>`), /^501 5\.1\.7/)
  })

  test('bytes that are no UTF-8', () => assert.match(mail('MAIL FROM:<\xff@b>'), /^501 5\.5\.4/))

  test('whatever comes, nothing that could end a line goes on', () => {
    const line = fc.string({
      unit: fc.constantFrom('<', '>', '"', '\\', ' ', '=', '+0A', '\r', '\n', '\0', 'a', '@'),
      maxLength: 20,
    })
    fc.assert(
      fc.property(line, text => {
        try {
          const { path, parameters } = readRcpt(Buffer.from(`RCPT TO:<${text}`), true)
          const written = formatEnvelopeCommand('RCPT TO', path, parameters)
          // oxlint-disable-next-line no-control-regex -- control characters are what must not pass
          assert.doesNotMatch(written, /[\x00-\x1f\x7f]/)
          assert.equal(formatEnvelopeCommand('RCPT TO', readRcpt(Buffer.from(written), true).path, parameters), written)
        } catch (error) {
          if (!(error instanceof Refused)) throw error
        }
      }),
      { numRuns: 5000 },
    )
  })
})

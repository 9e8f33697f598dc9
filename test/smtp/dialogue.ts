/**
 * Plays an SMTP dialogue that is written down as text: `test/smtp/dialogues/*.txt`.
 *
 *     option NAME VALUE   a setting of the relay, before anything else
 *     upstream A; B       what the upstream announces after EHLO
 *     C: text             the client says a line
 *     C& text             the same, sent together with the next line
 *     S: text             the client hears a line; * stands for anything
 *     R: text             the upstream hears a line
 *     U: text             the upstream says a line
 *     C! close            the client closes; `reset` breaks the connection
 *     U! close            the upstream does
 *     S! closed           the client sees the end of the connection
 *     R! closed           the upstream does
 *     # text              a comment
 *
 * `R2:` and `U2:` mean the second connection to the upstream, in the order in which they were opened. `\r`, `\n`, `\0`
 * and `\xHH` are these bytes. `NAME*1000` repeats in C lines: `{a*64}` is 64 times a. At the end nobody may have said
 * more than is written down.
 */
import { strict as assert } from 'node:assert'
import { Peer } from './peer.ts'
import { numberCopies, startRig, type RigOptions } from './rig.ts'
import { ScriptedUpstream } from './scripted-upstream.ts'

type Options = { -readonly [Name in keyof RigOptions]?: RigOptions[Name] }

export async function playDialogue(text: string, more: Options = {}): Promise<void> {
  const lines = text.split('\n').map((line, at) => ({ line: line.trimEnd(), at: at + 1 }))
  const options: Options = { rewriting: numberCopies, ...more }
  let keywords = ['PIPELINING', 'SIZE 10000000', 'ENHANCEDSTATUSCODES', '8BITMIME', 'DSN', 'SMTPUTF8']
  const steps: { kind: string; number: number; text: string; at: number }[] = []
  for (const { line, at } of lines) {
    if (line === '' || line.startsWith('#')) continue
    const [word = ''] = line.split(' ', 1)
    const rest = line.slice(word.length + 1)
    if (word === 'option') readOption(options, rest, at)
    else if (word === 'upstream')
      keywords = rest
        .split(';')
        .map(keyword => keyword.trim())
        .filter(keyword => keyword !== '')
    else {
      const match = /^([CSRU])(\d?)([:&!])$/.exec(word)
      if (!match) throw new Error(`line ${at}: unknown ${word}`)
      steps.push({ kind: `${match[1]}${match[3]}`, number: Number(match[2] || 1), text: unescape(rest), at })
    }
  }
  const upstream = await ScriptedUpstream.start(keywords)
  const rig = await startRig({ ...options, upstreamPort: upstream.port })
  const client = await Peer.connect(rig.port)
  let together = ''
  try {
    for (const { kind, number, text, at } of steps) {
      const where = `line ${at}`
      try {
        switch (kind) {
          case 'C&':
            together += `${text}\r\n`
            break
          case 'C:':
            client.say(`${together}${text}\r\n`)
            together = ''
            break
          case 'S:':
            matches(await client.line(), text, where)
            break
          case 'R:':
            matches(await (await upstream.connection(number)).line(), text, where)
            break
          case 'U:':
            ;(await upstream.connection(number)).say(`${text}\r\n`)
            break
          case 'C!':
            if (text === 'reset') client.socket.resetAndDestroy()
            else client.socket.end()
            break
          case 'U!':
            if (text === 'reset') (await upstream.connection(number)).socket.resetAndDestroy()
            else (await upstream.connection(number)).socket.end()
            break
          case 'S!':
            assert.equal(await client.closed(), '', where)
            break
          case 'R!':
            assert.equal(await (await upstream.connection(number)).closed(), '', where)
            break
          default:
            throw new Error(`${where}: unknown ${kind}`)
        }
      } catch (error) {
        if (error instanceof assert.AssertionError) throw error
        throw new Error(`${where}: ${(error as Error).message}`, { cause: error })
      }
    }
    assert.equal(client.unread, '', 'the client heard more')
    for (const [at, connection] of upstream.connections.entries()) {
      assert.equal(connection.unread.replace(/^QUIT\r\n$/, ''), '', `upstream connection ${at + 1} heard more`)
    }
    assert.deepEqual(rig.faults, [])
  } finally {
    client.socket.destroy()
    await upstream.close()
    await rig.close()
  }
}

function readOption(options: Options, text: string, at: number): void {
  const [name = '', value = ''] = text.split(' ', 2)
  if (name === 'multi-recipient' && (value === 'split' || value === 'shared' || value === 'refuse')) {
    options.multiRecipient = value
  } else if (name === 'stray-line-ends' && (value === 'normalise' || value === 'refuse')) options.strayLineEnds = value
  else if (name === 'allow-networks') options.allowNetworks = value.split(',')
  else if (name.startsWith('limit.')) options.limits = { ...options.limits, [name.slice(6)]: Number(value) }
  else throw new Error(`line ${at}: unknown option ${name}`)
}

function unescape(text: string): string {
  return text
    .replaceAll(/\{(.)\*(\d+)\}/g, (_, character: string, count: string) => character.repeat(Number(count)))
    .replaceAll(/\\(?:x([0-9a-f]{2})|([rn0\\]))/gi, (_, hex: string | undefined, letter: string) =>
      hex === undefined
        ? ({ r: '\r', n: '\n', 0: '\0', '\\': '\\' }[letter] ?? '')
        : String.fromCharCode(Number.parseInt(hex, 16)),
    )
}

function matches(line: string | undefined, pattern: string, where: string): void {
  const expected = new RegExp(`^${pattern.split('*').map(quote).join('.*')}$`, 's')
  assert.ok(line !== undefined && expected.test(line), `${where}: expected ${pattern}, heard ${line ?? 'the end'}`)
}

function quote(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
}

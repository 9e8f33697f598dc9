/** Real mails of many origins, wrapped, before an independent judge. */
import assert from 'node:assert/strict'
import { globSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { htmlEdits } from '../../lib/message/tracking/part-edits.ts'
import { WrapTally } from '../../lib/message/tracking/wrap-report.ts'
import { sized } from '../support/soak.ts'
import { trackingPlan } from '../support/tracking-plan.ts'
import { wrapped } from '../support/wrapped.ts'
import { changeAll, corpora, judge, missing, prepare, type Verdict } from './judge.ts'
import { mutated, randomFrom } from './mutated.ts'

/** Share of mails that must be left as they should. */
const shareMin = 0.998

describe('corpus', { skip: missing }, () => {
  let dir: string
  const at = (...names: string[]): string => join(dir, ...names)
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'corpus-'))
    prepare(join(corpora, 'mime'), at('mime'))
  })
  after(() => rmSync(dir, { recursive: true, force: true }))

  const assertOk = (verdicts: Verdict[]): void => {
    const wrong = verdicts.filter(({ verdict }) => verdict !== 'OK')
    assert.ok(verdicts.length > 0)
    const share = (verdicts.length - wrong.length) / verdicts.length
    assert.ok(share >= shareMin, wrong.map(({ file, verdict }) => `${file}: ${verdict}`).join('\n'))
  }

  test('tracking off leaves every mail as it is', () => {
    const plan = { trackOpen: false, trackClick: false }
    changeAll('**/*.eml', at('mime'), at('off'), bytes => wrapped(bytes, { plan }).bytes)
    assertOk(judge('off', at('mime'), at('off'), at('off.txt')))
  })

  for (const [name, plan] of Object.entries({
    open: { dkimSigned: 'wrap' as const },
    all: { dkimSigned: 'wrap' as const, trackInitialOpen: true },
    text: { dkimSigned: 'wrap' as const, trackInitialOpen: true, trackText: true },
  })) {
    test(`tracking on (${name}) changes links and pixels only`, () => {
      let links = 0
      changeAll('**/*.eml', at('mime'), at(name), bytes => {
        const { bytes: out, report } = wrapped(bytes, { plan })
        links += report.links
        return out
      })
      const options = ['--require-pixel', ...(name === 'text' ? ['--text'] : [])]
      assertOk(judge('on', at('mime'), at(name), at(`${name}.txt`), ...options))
      assert.ok(links > 0)
    })
  }

  test('an HTML document changes in its links and pixels only', () => {
    const plan = trackingPlan({ trackInitialOpen: true })
    changeAll('**/*.html', join(corpora, 'html'), at('html'), bytes => {
      const html = bytes.toString('latin1')
      const edits = htmlEdits(
        html,
        bytes,
        {
          context: { trackingHost: 'track.example.com', charset: undefined, amp: false },
          delSp: false,
          switches: plan,
          linkFor: plan.linkFor,
          withPixels: true,
          trapUrl: undefined,
          linksMax: 5000,
          urlBytesMax: 1 << 20,
          lineCharsMax: Number.MAX_SAFE_INTEGER,
          endsMessage: false,
        },
        new WrapTally(),
      )
      if (typeof edits === 'string') return bytes
      let out = ''
      let from = 0
      for (const { start, end, text } of edits) {
        out += html.slice(from, start) + text
        from = end
      }
      return Buffer.from(out + html.slice(from), 'latin1')
    })
    assertOk(judge('html', join(corpora, 'html'), at('html'), at('html.txt'), '--require-pixel'))
  })

  test('damaged mails change in links and pixels only', () => {
    const random = randomFrom(20_261_121)
    const mails = globSync('**/*.eml', { cwd: at('mime') })
      .toSorted()
      .map(file => readFileSync(at('mime', file), 'latin1'))
      .filter(mail => mail.length < 60_000 && /text\/html/i.test(mail))
    mkdirSync(at('damaged'))
    for (let count = 0; count < sized(1500, 10_000); count++) {
      const mail = mails[Math.floor(random() * mails.length)] ?? ''
      writeFileSync(at('damaged', `${count}.eml`), mutated(mail, random), 'latin1')
    }
    const plan = { dkimSigned: 'wrap' as const, trackInitialOpen: true }
    changeAll('*.eml', at('damaged'), at('wrapped'), bytes => wrapped(bytes, { plan }).bytes)
    const verdicts = judge('on', at('damaged'), at('wrapped'), at('damaged.txt'))
    // The judge gives up on text that is not what its encoding says; there it is enough that it did so before as well.
    assertOk(verdicts.filter(({ verdict }) => !verdict.startsWith('HTML:undecodable')))
  })
})

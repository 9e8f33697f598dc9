/** The scanner against the tokenizer of parse5, which follows the HTML standard to the letter, on any soup of markup. */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import * as fc from 'fast-check'
import { scanHtml } from '../../lib/message/html/scan-html.ts'

interface Tag {
  readonly tagName: string
  readonly attrs: readonly { readonly name: string; readonly value: string }[]
  readonly location: { readonly startOffset: number }
}
interface Parse5 {
  readonly Tokenizer: new (
    options: object,
    handler: object,
  ) => { state: number; write(text: string, last: boolean): void }
  readonly TokenizerMode: Readonly<Record<string, number>>
}
const ours = createRequire(import.meta.url)
// The one that cheerio brings along.
const { Tokenizer, TokenizerMode } = createRequire(ours.resolve('cheerio'))('parse5') as Parse5

/** What the tree builder does when such an element begins. */
const modes: Readonly<Record<string, string>> = {
  script: 'SCRIPT_DATA',
  style: 'RAWTEXT',
  xmp: 'RAWTEXT',
  iframe: 'RAWTEXT',
  noembed: 'RAWTEXT',
  noframes: 'RAWTEXT',
  title: 'RCDATA',
  textarea: 'RCDATA',
  plaintext: 'PLAINTEXT',
}

interface Found {
  readonly links: [number, string | undefined][]
  bodyEnd: number | undefined
}

function byParse5(html: string): Found {
  const found: Found = { links: [], bodyEnd: undefined }
  const ignore = (): undefined => undefined
  const tokenizer = new Tokenizer(
    { sourceCodeLocationInfo: true },
    {
      onComment: ignore,
      onDoctype: ignore,
      onEof: ignore,
      onCharacter: ignore,
      onNullCharacter: ignore,
      onWhitespaceCharacter: ignore,
      onParseError: null,
      onStartTag: ({ tagName, attrs, location }: Tag) => {
        if (tagName === 'a' || tagName === 'area') {
          found.links.push([location.startOffset, attrs.find(({ name }) => name === 'href')?.value])
        }
        const mode = modes[tagName]
        if (mode !== undefined) tokenizer.state = TokenizerMode[mode] ?? 0
      },
      onEndTag: ({ tagName, location }: Tag) => {
        if (tagName === 'body') found.bodyEnd = location.startOffset
      },
    },
  )
  tokenizer.write(html, true)
  return found
}

const token = fc.constantFrom(
  ...[
    '<a ',
    '<A href="x"',
    " href='y'",
    ' href=z',
    '>',
    '/>',
    '<area href=q>',
    '<!--',
    '-->',
    '--!>',
    '<!-->',
    '<!--->',
  ],
  ...[
    '<!',
    '<?',
    '</',
    '</a',
    '</body>',
    '<body ',
    '<script>',
    '</script>',
    '<style>',
    '</style >',
    '<title>',
    '</title/',
  ],
  ...['<textarea>', '</textarea>', '<xmp>', '</xmp>', '"', "'", '=', ' ', '\n', '/', 'text', 'x', '<', '<div', '&amp;'],
  ...[
    '<p title="a>b">',
    `<img alt='<a href="n">'>`,
    '<iframe>',
    '</iframe>',
    '-',
    '--',
    '\t',
    '<a:b href=n>',
    '<plaintext>',
  ],
)

test('scanHtml finds the links and the last </body> that the tokenizer of parse5 finds', () => {
  let links = 0
  fc.assert(
    fc.property(fc.array(token, { minLength: 2, maxLength: 16 }), tokens => {
      const html = tokens.join('')
      const scan = scanHtml(html)
      const found: Found = {
        links: scan.links.map(({ start, attributes }) => [
          start,
          attributes.find(({ name }) => name === 'href')?.value.replaceAll('&amp;', '&'),
        ]),
        bodyEnd: scan.bodyEnd,
      }
      links += found.links.length
      assert.deepEqual(found, byParse5(html))
    }),
    { numRuns: 10_000 },
  )
  assert.ok(links > 1000)
})

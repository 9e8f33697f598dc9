/** Imports go one way: what a folder of lib/ may import. A new folder needs a line here, and a thought. */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, resolve } from 'node:path'
import { test } from 'node:test'

const root = resolve(import.meta.dirname, '../..')

/**
 * Folder → folders that it may import besides itself. The longest name that a file's path begins with is its folder.
 * Where the processes meet (event, record, link, queue) stands above; the processes themselves never see each other.
 */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  // What every process has.
  text: [],
  network: ['text'],
  process: ['network'],
  durable: ['process'],
  // Where the processes meet.
  event: [],
  link: ['event', 'record', 'durable', 'process'],
  record: ['queue', 'process', 'text'],
  queue: ['event', 'durable', 'process', 'network', 'text'],
  // A message on its way through.
  'message/mime': [],
  'message/html': [],
  'message/tracking': ['message/mime', 'message/html', 'event', 'link', 'record', 'text'],
  'message/smtp': ['message/tracking', 'message/mime', 'event', 'link', 'record', 'queue', 'process', 'network'],
  // An event on its way out.
  'event/engagement': ['event', 'link', 'record', 'queue', 'process', 'network', 'text'],
  'event/powermta': ['event'],
  'event/accounting': ['event', 'event/powermta', 'record', 'queue', 'durable', 'process'],
  'event/upload': ['event', 'record', 'queue', 'durable', 'process', 'network', 'text'],
  'event/maillog': ['event', 'event/powermta', 'event/upload', 'durable', 'process', 'network', 'text'],
  // Tools around both.
  linktool: ['message/tracking', 'message/mime', 'message/html', 'event', 'link', 'record', 'durable', 'process'],
  console: ['event', 'durable', 'process', 'network'],
  pipeline: ['process', 'network'],
}

function folderOf(path: string): string | undefined {
  return Object.keys(mayImport)
    .filter(folder => path.startsWith(`lib/${folder}/`))
    .toSorted((a, b) => b.length - a.length)[0]
}

function importsOf(path: string): string[] {
  const source = readFileSync(join(root, path), 'utf8')
  return [...source.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'(\.{1,2}\/[^']+)'/g)].map(match =>
    normalize(join(dirname(path), match[1]!)),
  )
}

const sources = globSync('lib/**/*.ts', { cwd: root })

test('every file of lib stands in a folder that has a place in the order of imports', () => {
  assert.deepEqual(
    sources.filter(path => folderOf(path) === undefined),
    [],
  )
})

test('lib imports only downwards', () => {
  const wrong: string[] = []
  for (const path of sources) {
    const folder = folderOf(path)
    if (folder === undefined) continue
    // Tests beside the code may also use what tests share.
    const allowed = new Set([folder, ...mayImport[folder]!])
    for (const target of importsOf(path)) {
      if (path.endsWith('.test.ts') && target.startsWith('test/support/')) continue
      const targetFolder = folderOf(target)
      if (targetFolder === undefined || !allowed.has(targetFolder)) wrong.push(`${path} imports ${target}`)
    }
  }
  assert.deepEqual(wrong, [])
})

test('the entry points only wire: no cmd imports another', () => {
  const wrong = globSync('cmd/*.ts', { cwd: root }).flatMap(path =>
    importsOf(path)
      .filter(target => !target.startsWith('lib/'))
      .map(target => `${path} imports ${target}`),
  )
  assert.deepEqual(wrong, [])
})

test('what takes memory for parts that nobody uses is loaded in one place, without them', () => {
  const whole = /import (?!type\b)[^']*? from '(?:prom-client|node:http)'/
  assert.deepEqual(
    sources.filter(path => !path.endsWith('.test.ts') && whole.test(readFileSync(join(root, path), 'utf8'))),
    [],
  )
})

/**
 * Keeps Node 22 from loading what later versions don't, some 30 MB; preloaded (`--import`) by compiled-before.ts. Where
 * anything here fails, Node does what it would have done without.
 *
 * - What strips types: the compile cache of Node 22 keeps no sources without their types. They are kept here, beside
 *   it (`stripped`), so that only one that is new or was changed has to be stripped.
 * - Its fetch: whoever requires http gets all of it, for the sake of three names that nobody here uses.
 *
 * In JavaScript, for Node would have to load what strips types to load this.
 */
import { hash } from 'node:crypto'
import { lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { getCompileCacheDir, registerHooks, stripTypeScriptTypes } from 'node:module'
import { join } from 'node:path'

/** Characters of a checksum. */
const checksumLength = 64

try {
  const dir = ownFolder()
  if (dir !== undefined) keepStripped(dir)
  doWithoutFetch()
} catch {
  // Then with all of it.
}

function doWithoutFetch() {
  const http = process.getBuiltinModule('node:http')
  for (const name of ['WebSocket', 'CloseEvent', 'MessageEvent']) {
    Object.defineProperty(http, name, { value: undefined, configurable: true, enumerable: true, writable: true })
  }
}

/** @param {string} dir */
function keepStripped(dir) {
  registerHooks({
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context)
      const source = loaded.format === 'module-typescript' ? withoutTypes(dir, url, loaded.source) : undefined
      return source === undefined ? loaded : { ...loaded, format: 'module', source }
    },
  })
}

/**
 * A folder that nobody else can write: what is in it will be executed.
 * @returns {string | undefined} undefined when there is none
 */
function ownFolder() {
  const cache = getCompileCacheDir()
  if (cache === undefined) return undefined
  const dir = join(cache, 'stripped')
  try {
    mkdirSync(dir, { mode: 0o700 })
  } catch {
    // It is there, or there will be none.
  }
  const found = lstatSync(dir, { throwIfNoEntry: false })
  return found?.isDirectory() && found.uid === process.geteuid?.() && (found.mode & 0o077) === 0 ? dir : undefined
}

/**
 * @param {string} dir
 * @param {string} url of the source
 * @param {unknown} source
 * @returns {string | undefined} undefined when it can't be stripped
 */
function withoutTypes(dir, url, source) {
  try {
    if (!(source instanceof Uint8Array)) return undefined
    const path = join(dir, hash('sha256', url))
    const kept = read(path, source)
    if (kept !== undefined) return kept
    const text = strip(new TextDecoder().decode(source))
    write(path, checksum(source, text) + text)
    return text
  } catch {
    return undefined
  }
}

/**
 * What was kept of a source.
 * @param {string} path
 * @param {Uint8Array} source
 * @returns {string | undefined} undefined when there is none, or it is damaged, or of another source
 */
function read(path, source) {
  try {
    const kept = readFileSync(path, 'utf8')
    const text = kept.slice(checksumLength)
    return kept.slice(0, checksumLength) === checksum(source, text) ? text : undefined
  } catch {
    return undefined
  }
}

/**
 * Of a source and of what became of it.
 * @param {Uint8Array} source
 * @param {string} text
 * @returns {string}
 */
function checksum(source, text) {
  return hash('sha256', hash('sha256', source) + text)
}

/**
 * @param {string} source
 * @returns {string} of the same lines and columns
 */
function strip(source) {
  const { emitWarning } = process
  // Node strips our types anyway; that this way to it is an experimental one concerns nobody who starts a program.
  process.emitWarning = () => undefined
  try {
    return stripTypeScriptTypes(source)
  } finally {
    process.emitWarning = emitWarning
  }
}

/**
 * Others that start now write the same; whoever reads finds all of it or nothing.
 * @param {string} path
 * @param {string} text
 */
function write(path, text) {
  const part = `${path}.${process.pid}`
  try {
    writeFileSync(part, text, { mode: 0o600 })
    renameSync(part, path)
  } catch {
    // The next start will do it.
    rmSync(part, { force: true })
  }
}

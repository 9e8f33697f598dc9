/**
 * Loaded before every test file: property tests draw the same cases in every run, so that what passed here passes
 * elsewhere. The long form (SOAK=1) draws new ones.
 */
import * as fc from 'fast-check'

if (process.env['SOAK'] !== '1') fc.configureGlobal({ seed: 20_260_219 })

/**
 * Property tests draw the same cases in every run of `npm test`, so that what passed once passes again; `npm run
 * test:full` draws new ones each time and prints the seed of a failure.
 */
import fc from 'fast-check'

if (process.env.ONEROUND_FULL !== '1') fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: 20_241_204 })

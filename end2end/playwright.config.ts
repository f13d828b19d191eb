import { defineConfig } from '@playwright/test';

/** Debian's Chromium, found by `cargo xtask test`. A browser is never downloaded. */
const executablePath = process.env.HOOKWRIGHT_CHROMIUM ?? '/usr/bin/chromium';
const args = [
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-quic',
  ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
];

export default defineConfig({
  testDir: 'tests',
  outputDir: 'test-results',
  retries: 0,
  // A busy machine is slower. Passing tests do not wait for these limits.
  timeout: 120_000,
  expect: { timeout: 20_000 },
  workers: 1,
  forbidOnly: !!process.env.CI,
  reporter: [['list']],
  use: { launchOptions: { executablePath, args }, viewport: { width: 1280, height: 900 } },
  projects: [
    { name: 'wasm', testIgnore: ['plain.spec.ts'] },
    // The console works the same without JavaScript.
    { name: 'plain', use: { javaScriptEnabled: false }, testMatch: ['journey.spec.ts', 'plain.spec.ts', 'smtp.spec.ts', 'schedule.spec.ts', 'text.spec.ts', 'wrong_input.spec.ts'] },
  ],
});

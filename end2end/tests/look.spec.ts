import { createRequire } from 'node:module';
import { expect, field, makeEvent, makeTask, makeWebhook, open, routes, save, signIn, submit, test, waitForHydration } from './fixtures.js';
import type { Page } from '@playwright/test';

const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');

async function findings(page: Page): Promise<string[]> {
  await page.addScriptTag({ path: axe }).catch(() => page.evaluate(() => undefined));
  return page.evaluate(async () => {
    const { violations } = await (globalThis as any).axe.run();
    return violations.flatMap((rule: any) => rule.nodes.map((node: any) => `${rule.id}: ${node.target} ${node.failureSummary}`));
  });
}

/** Expects an accessible page that neither shifts while loading nor scrolls sideways. */
async function check(page: Page, path: string, scheme: string, width: number) {
  expect.soft(await findings(page), `${path} ${scheme} ${width}`).toEqual([]);
  const shift = await page.evaluate(() => new Promise<number>((done) => {
    let sum = 0;
    new PerformanceObserver((list) => { for (const one of list.getEntries()) sum += (one as any).value; })
      .observe({ type: 'layout-shift', buffered: true });
    requestAnimationFrame(() => requestAnimationFrame(() => done(sum)));
  }));
  expect.soft(shift, `${path} at ${width} moves`).toBeLessThan(0.005);
  const sideways = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  expect.soft(sideways, `${path} at ${width}`).toBeLessThanOrEqual(0);
}

/** Waits for the parts that a form fetches after hydration, so that they are checked too. */
async function fetched(page: Page, path: string) {
  if (/^\/tasks\/(new|\d+\/edit)$/.test(path)) await expect(page.getByRole('region', { name: 'Preview' })).toBeVisible();
  const card = page.getByRole('region', { name: 'What it matches' });
  const runs = page.getByRole('region', { name: 'When it runs' });
  if (/^\/schedules\/(new|\d+\/edit)$/.test(path)) await expect(runs.getByRole('listitem')).toHaveCount(5);
  if (/^\/events\/\d+$/.test(path)) await expect(card).toContainText(/Matches \d/);
}

test.use({ bypassCSP: true });

test('every page is accessible in both themes, does not shift, and does not scroll sideways', async ({ page, hook }) => {
  test.setTimeout(400_000);
  await signIn(page, hook);
  await open(page, hook, '/tags');
  const category = page.getByRole('form', { name: 'New Tag Category' });
  await field(category, 'Name').fill('c'.repeat(40));
  await category.getByLabel('Virtual Machines').check();
  await category.getByRole('button', { name: 'Add category' }).click();
  const tag = page.getByRole('form', { name: 'New Tag', exact: true });
  await field(tag, 'Name').fill('t'.repeat(40));
  await tag.getByRole('button', { name: 'Add tag' }).click();
  // "Saved." is shown since the category, so the tag itself is awaited.
  await expect(page.getByRole('region', { name: 'c'.repeat(40) })).toContainText('t'.repeat(40));
  await makeWebhook(page, hook, 'w'.repeat(128), `${hook.inbox}/status/503`, '0');
  await makeTask(page, hook, 't'.repeat(64), 'w'.repeat(128));
  await makeEvent(page, hook, 'Power On', 't'.repeat(64));
  await open(page, hook, '/smtp/edit');
  await field(page, 'Server').fill('mail.example.com');
  await field(page, 'From Address').fill(`${'x'.repeat(60)}@example.com`);
  await submit(page);
  await expect(page.getByText('mail.example.com:587')).toBeVisible();
  const response = await hook.post({ type: 'vms', event: 'poweron', object: { name: 'a-very-long-object-name-'.repeat(8) } });
  const { occurrences } = await response.json() as { occurrences: { id: string }[] };
  await open(page, hook, '/deliveries');
  const failed = page.getByRole('link', { name: 'Error' });
  await expect(failed).toBeVisible();
  const delivery = await failed.getAttribute('href') ?? '';
  // On a slow machine the figures of the dashboard are some seconds old. They must not change while the page is checked.
  await open(page, hook, '/');
  await expect(page.getByRole('region', { name: 'Recent failures' })).toBeVisible({ timeout: 20_000 });
  await expect(page.getByText('1 failing')).toBeVisible({ timeout: 20_000 });
  await expect(page.getByRole('region', { name: 'Deliveries, last 24 hours' }).getByRole('listitem').nth(1)).toHaveText('Error 1', { timeout: 20_000 });
  const filled = routes().map((path) => path.startsWith('/deliveries/') ? delivery
    : path.startsWith('/occurrences/') ? `/occurrences/${occurrences[0].id}` : path.replace('{id}', '1'));
  // Includes an unknown page. The pages for signing in have a separate test.
  const all = [...filled.filter((path) => !['/sign-in', '/setup'].includes(path)), '/nowhere'];
  expect(all).toContain('/webhooks/1/edit');
  const shots = process.env.HOOKWRIGHT_SHOTS;
  for (const scheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme: scheme });
    for (const path of all) {
      for (const width of [1280, 360]) {
        await page.setViewportSize({ width, height: 900 });
        await open(page, hook, path);
        await fetched(page, path);
        await check(page, path, scheme, width);
        if (shots) await page.screenshot({ path: `${shots}/${path.slice(1).replaceAll('/', '-').slice(0, 24) || 'dashboard'}-${width}-${scheme}.png`, fullPage: true });
      }
    }
  }
});

test('the pages for signing in are accessible in both themes and do not scroll sideways', async ({ page, hook }) => {
  for (const scheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme: scheme });
    for (const path of ['/sign-in', '/setup?token=x']) {
      for (const width of [1280, 360]) {
        await page.setViewportSize({ width, height: 700 });
        await open(page, hook, path);
        await check(page, path, scheme, width);
      }
    }
  }
});

test('a chosen theme lasts, and choosing it keeps typed values', async ({ page, hook }) => {
  await signIn(page, hook);
  await open(page, hook, '/webhooks/new');
  await field(page, 'Name').fill('typed');
  await page.getByRole('button', { name: 'Theme' }).click();
  await page.getByRole('button', { name: 'Dark' }).click();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
  await expect(field(page, 'Name')).toHaveValue('typed');
  await page.reload();
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'dark');
});

test('values typed before the browser half has loaded are kept', async ({ page, hook }) => {
  await signIn(page, hook);
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  await page.route('**/*.wasm', async (route) => {
    await held;
    await route.continue();
  });
  await page.goto(`${hook.url}/webhooks/new`);
  await field(page, 'Name').fill('early');
  await field(page, 'URL').fill(hook.inbox);
  await expect(page.locator('html[data-hydrated]')).toHaveCount(0);
  release();
  await waitForHydration(page);
  await expect(field(page, 'Name')).toHaveValue('early');
  await save(page, 'Webhook: early');
});

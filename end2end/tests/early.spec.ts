/** What is typed before the browser half has loaded, or that the browser restores after Back. */
import { chooseEvent, chooseObject, expect, field, headersAsText, makeEvent, makeTask, makeWebhook, open, save, seeTitle, signIn, submit, test, waitForHydration } from './fixtures.js';
import type { Page } from '@playwright/test';

/** Holds back the browser half until released. */
async function holdModule(page: Page) {
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  await page.route('**/*.wasm', async (route) => {
    await held;
    await route.continue();
  });
  return release;
}

test('headers typed as text before the browser half has loaded stay in the grid', async ({ page, hook }) => {
  await signIn(page, hook);
  const release = await holdModule(page);
  await page.goto(`${hook.url}/webhooks/new`);
  await field(page, 'Name').fill('early');
  await field(page, 'URL').fill(hook.inbox);
  await field(page, 'Headers as text').fill('X-Early: yes\nX-Route: a');
  release();
  await waitForHydration(page);
  await expect(page.getByLabel('Header 1 name')).toHaveValue('X-Early');
  await expect(page.getByLabel('Header 2 value')).toHaveValue('a');
  await save(page, 'Webhook: early');
  await expect(page.locator('main')).toContainText('X-Early: yes');
});

test('headers typed as text come back with Back', async ({ page, hook }) => {
  await signIn(page, hook);
  page.removeAllListeners('dialog');
  page.on('dialog', (dialog) => void dialog.accept());
  await open(page, hook, '/webhooks/new');
  await (await headersAsText(page)).fill('X-Early: yes');
  await page.getByRole('link', { name: 'Dashboard' }).click();
  await seeTitle(page, 'Tasks Dashboard');
  await page.goBack();
  await seeTitle(page, 'New Webhook');
  await waitForHydration(page);
  await expect(page.getByLabel('Header 1 name')).toHaveValue('X-Early');
});

test('an object named before the browser half has loaded is chosen again', async ({ page, hook }) => {
  await signIn(page, hook);
  await makeWebhook(page, hook, 'Chat');
  await makeTask(page, hook, 'Tell', 'Chat');
  await hook.post({ type: 'vms', event: 'poweron', object: { id: 'vm-1', name: 'web-01' } });
  const release = await holdModule(page);
  await page.goto(`${hook.url}/events/new`);
  await field(page, 'Event').selectOption({ label: 'Virtual Machines: Power On' });
  await field(page, 'Object').fill('web-01');
  await field(page, 'Task').selectOption('Tell');
  release();
  await waitForHydration(page);
  await submit(page);
  await expect(page.getByText('Choose one of the listed objects, or Any.')).toBeVisible();
  await chooseObject(page, 'web-01');
  await submit(page);
  await seeTitle(page, 'Event: Power On');
  await expect(page.locator('main')).toContainText('web-01');
});

test('the objects of an event that comes back with Back are offered', async ({ page, hook }) => {
  await signIn(page, hook);
  page.removeAllListeners('dialog');
  page.on('dialog', (dialog) => void dialog.accept());
  await hook.post({ type: 'vms', event: 'poweron', object: { id: 'vm-1', name: 'web-01' } });
  await open(page, hook, '/events/new');
  await chooseEvent(page, 'Virtual Machines', 'Power On');
  await page.getByRole('link', { name: 'Dashboard' }).click();
  await seeTitle(page, 'Tasks Dashboard');
  await page.goBack();
  await seeTitle(page, 'New Event');
  await waitForHydration(page);
  await chooseObject(page, 'web-01');
});

test('a double click executes a task once', async ({ page, hook }) => {
  await signIn(page, hook);
  await makeWebhook(page, hook, 'Chat');
  await makeTask(page, hook, 'Tell', 'Chat');
  await makeEvent(page, hook, 'Power On', 'Tell');
  await open(page, hook, '/tasks/1');
  await page.getByRole('button', { name: 'Execute' }).dblclick();
  await expect(page.getByText('Started.')).toBeVisible();
  await expect.poll(() => hook.received().length).toBe(1);
  await open(page, hook, '/runs');
  await expect(page.locator('tbody tr')).toHaveCount(1);
});

test('the page of a proxy keeps what was typed, and asks to try again', async ({ page, hook, faults }) => {
  await signIn(page, hook);
  await open(page, hook, '/webhooks/new');
  await field(page, 'Name').fill('Chat');
  await field(page, 'URL').fill(hook.inbox);
  await page.route('**/api/**', (route) => route.fulfill({ status: 502, contentType: 'text/html', body: '<h1>Bad Gateway</h1>' }));
  await submit(page);
  await expect(page.getByRole('alert')).toContainText('The console could not be reached. What you typed is still here; try again.');
  // Chromium reports the 502 itself, for each request.
  expect(faults.splice(0).every((fault) => fault.includes('status of 502'))).toBe(true);
  await page.unroute('**/api/**');
  await save(page, 'Webhook: Chat');
});

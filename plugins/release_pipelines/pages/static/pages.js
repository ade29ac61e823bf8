// What every page has: Airflow's colours, and links that lead out of the frame.
import { follow } from "./frame.js";
import { remarks } from "./remarks.js";
import { verifying } from "./audit.js";

follow();
remarks();
verifying();

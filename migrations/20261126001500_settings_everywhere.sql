-- Counts writes of settings once they are committed. A process tells in the name of its listening connection up to which of
-- them it has read, so that whoever writes one can wait until it holds everywhere.
CREATE SEQUENCE jhe_setting_version;
